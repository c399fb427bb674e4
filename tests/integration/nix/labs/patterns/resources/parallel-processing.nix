{ pkgs }:
let
  compute = {
    pname = "compute";
    inputs = { worker__item = ""; data = ""; };
    outputs = { result = "$out/result.csv"; };
    deps = [];
    resources = { mem = "16G"; cpus = 4; time = "02:00:00"; partition = "compute"; };
    run = { inputs, outputs, ... }: ''
      # heavy computation
      cat "${inputs.worker__item}" "${inputs.data}" > "${outputs.result}"
    '';
  };
  summarize = {
    pname = "summarize";
    inputs = { result = ""; };
    outputs = { summary = "$out/summary.json"; };
    deps = [ compute ];
    resources = { mem = "2G"; cpus = 1; time = "00:10:00"; };
    run = { inputs, outputs, ... }: ''
      # lightweight post-processing
      wc -c < "${inputs.result}" > "${outputs.summary}"
    '';
  };
in
{
  pname = "parallel-processing";

  scatter = {
    resources = { mem = "4G"; cpus = 1; time = "00:05:00"; };
    inputs = { data = ""; };
    outputs = {
      work__items = "$out/work_items.json";
      worker__arg = { index = 0; };
      header = "$out/header.txt";
    };
    run = { inputs, outputs, ... }: ''
      echo '[{"index": 1}, {"index": 2}, {"index": 3}]' > "${outputs.work__items}"
      head -n 1 "${inputs.data}" > "${outputs.header}"
    '';
  };

  steps = { inherit compute summarize; };

  gather = {
    resources = { mem = "8G"; cpus = 2; time = "00:30:00"; };
    inputs = {
      worker__outs = "[]";
      header = "";
    };
    outputs = { total = "$out/total.txt"; };
    run = { inputs, outputs, ... }: ''
      cat "${inputs.header}" > "${outputs.total}"
      grep -o '"summary"' "${inputs.worker__outs}" | wc -l >> "${outputs.total}"
    '';
  };
}
