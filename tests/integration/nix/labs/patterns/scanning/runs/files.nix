{ repx-lib, ... }:
{
  name = "files";
  pipelines = [ ./pipelines/read.nix ];
  params = {
    config = repx-lib.utils.files ../configs;
  };
}
