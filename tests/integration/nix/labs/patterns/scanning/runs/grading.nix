# nix/runs/grading.nix
{ pkgs, repx-lib, ... }:
{
  name = "grading";
  pipelines = [ ./pipelines/grade.nix ];
  params = {
    # Each subdirectory in ./submissions/ becomes a parameter value
    submission = repx-lib.utils.dirs ../submissions;
  };
}
