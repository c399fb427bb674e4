# Packages that point at the host's own programs: what labs use where there is no nixpkgs.
#
# Each package is a folder of links, made when a lab is built. A program that the host lacks gets a stand-in that looks
# for it again when a job starts it, and otherwise fails that job with the program's name.
let
  inherit (builtins)
    concatStringsSep
    mapAttrs
    ;

  folders = [
    "/usr/local/bin"
    "/usr/bin"
    "/bin"
    "/usr/local/sbin"
    "/usr/sbin"
    "/sbin"
    "/run/current-system/sw/bin"
  ];

  linkScript = ''
    set -eu
    PATH=${concatStringsSep ":" folders}
    mkdir -p "$out/bin"
    for program in $programs; do
      found=
      for folder in ${concatStringsSep " " folders}; do
        if [ -z "$found" ] && [ -x "$folder/$program" ] && [ ! -d "$folder/$program" ]; then found=$folder/$program; fi
      done
      if [ -n "$found" ]; then
        ln -s "$found" "$out/bin/$program"
      else
        {
          echo '#!/bin/sh'
          echo "program=$program; package=$package"
          cat "$standIn"
        } > "$out/bin/$program"
        chmod 755 "$out/bin/$program"
      fi
    done
  '';

  standIn = builtins.toFile "host-stand-in.sh" ''
    own=$(cd "$(dirname "$0")" && pwd -P)
    IFS=:
    for folder in $PATH; do
      if [ -x "$folder/$program" ] && [ ! -d "$folder/$program" ] && [ "$(cd "$folder" && pwd -P)" != "$own" ]; then
        exec "$folder/$program" "$@"
      fi
    done
    echo "repx: this machine has no program '$program' (package '$package' of hostPkgs)" >&2
    exit 127
  '';

  coreutils = [
    "arch" "base32" "base64" "basename" "cat" "chgrp" "chmod" "chown" "cksum" "comm" "cp" "csplit" "cut" "date" "dd" "df"
    "dir" "dirname" "du" "echo" "env" "expand" "expr" "factor" "false" "fmt" "fold" "groups" "head" "hostid" "id"
    "install" "join" "link" "ln" "logname" "ls" "md5sum" "mkdir" "mkfifo" "mknod" "mktemp" "mv" "nice" "nl" "nohup"
    "nproc" "numfmt" "od" "paste" "pathchk" "pr" "printenv" "printf" "pwd" "readlink" "realpath" "rm" "rmdir" "seq"
    "sha1sum" "sha256sum" "sha512sum" "shred" "shuf" "sleep" "sort" "split" "stat" "stdbuf" "stty" "sum" "sync" "tac"
    "tail" "tee" "test" "timeout" "touch" "tr" "true" "truncate" "tsort" "tty" "uname" "unexpand" "uniq" "unlink" "vdir"
    "wc" "who" "whoami" "yes"
  ];

  # Package name to the programs that labs expect of it.
  programs = {
    inherit coreutils;
    bash = [ "bash" "sh" ];
    bc = [ "bc" ];
    cudatoolkit = [ "nvcc" ];
    curl = [ "curl" ];
    diffutils = [ "cmp" "diff" ];
    findutils = [ "find" "xargs" ];
    gawk = [ "awk" ];
    gcc = [ "c++" "cc" "g++" "gcc" ];
    git = [ "git" ];
    gnugrep = [ "egrep" "fgrep" "grep" ];
    gnumake = [ "make" ];
    gnused = [ "sed" ];
    gnuplot = [ "gnuplot" ];
    gnutar = [ "tar" ];
    gzip = [ "gunzip" "gzip" "zcat" ];
    hyperfine = [ "hyperfine" ];
    imagemagick = [ "convert" ];
    jq = [ "jq" ];
    julia = [ "julia" ];
    nodejs = [ "node" ];
    openssh = [ "scp" "ssh" ];
    perl = [ "perl" ];
    procps = [ "pgrep" "ps" ];
    python3 = [ "python3" ];
    R = [ "R" "Rscript" ];
    rsync = [ "rsync" ];
    shellcheck = [ "shellcheck" ];
    util-linux = [ "flock" "setsid" "taskset" ];
    which = [ "which" ];
    xz = [ "xz" ];
  };

  packagesFor =
    system:
    let
      package =
        name: commands:
        derivation {
          name = "host-${name}";
          inherit standIn system;
          package = name;
          programs = concatStringsSep " " commands;
          builder = "/bin/sh";
          args = [
            "-c"
            linkScript
          ];
          preferLocalBuild = true;
          allowSubstitutes = false;
        }
        // {
          pname = name;
          # Results do not depend on where this machine keeps its store, nor on how the links are made.
          repxIdentity = "host:${name}:${concatStringsSep "," commands}";
        };
      packages = mapAttrs package programs;
    in
    packages
    // {
      inherit system;
      bash = packages.bash // {
        # A lab may be shipped to machines that have no Nix store.
        repxShebang = "/usr/bin/env bash";
      };
      # Any program of the host as a package.
      command = name: package name [ name ];
      # The same packages for another kind of machine, needed where Nix evaluates without knowing its own.
      forSystem = packagesFor;
    };
in
packagesFor (builtins.currentSystem or "x86_64-linux")
