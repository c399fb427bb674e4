# One table and two pictures of all that `simulation` measured.
{ ... }:
{
  name = "analysis";
  pipelines = [ ../pipelines/report.nix ];
  params = { };
}
