# Packages in the shape of nixpkgs: several outputs, no `system` beside `stdenv`, scripts that start without env.
hostPkgs:
let
  split = package: package // {
    out = throw "the default output has no programs";
    bin = package;
    outPath = package.outPath;
  };
in
{
  stdenv.hostPlatform = { inherit (hostPkgs) system; };
  lib = throw "the library takes nothing but packages";
  callPackage = throw "the library takes nothing but packages";
  bash = removeAttrs hostPkgs.bash [ "repxShebang" "repxIdentity" ];
  coreutils = split hostPkgs.coreutils;
  inherit (hostPkgs) findutils gawk gnugrep gnused python3;
}
