{ pkgs }:
{
  pname = "grade";
  params.submission = "";
  outputs.grade = "$out/grade.txt";
  run = { outputs, parameters, ... }: ''
    basename "${parameters.submission}" > "${outputs.grade}"
    wc -l < "${parameters.submission}/answer.txt" >> "${outputs.grade}"
  '';
}
