# A picture of the table of `evaluate`.
{ ... }:
{
  name = "visualize";
  pipelines = [ ../pipelines/visualize.nix ];
  params = { };
}
