{ repx-lib, ... }:
{
  name = "scan";
  pipelines = [ ./pipelines/read.nix ];
  params = {
    # Only CSV files
    dataset = repx-lib.utils.scan {
      src = ../data;
      type = "file";
      match = ".*\\.csv";
    };

    # Only directories matching a pattern
    experiment = repx-lib.utils.scan {
      src = ../experiments;
      type = "directory";
      match = "exp-[0-9]+";
    };
  };
}
