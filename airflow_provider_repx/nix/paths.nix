# Paths that a lab mentions: what is there, asked before Nix stumbles over it.
let
  inherit (builtins)
    baseNameOf
    dirOf
    pathExists
    readDir
    storeDir
    ;

  # "regular", "directory", "symlink" or "unknown"; of what lies directly in the store, where Nix allows no look, "unknown".
  entryType =
    path:
    if toString (dirOf path) == storeDir || toString path == "/" then
      "unknown"
    else
      (readDir (dirOf path)).${baseNameOf path} or "unknown";
in
{
  isFile = path: pathExists path && entryType path == "regular";

  isFolder = path: pathExists path && entryType path == "directory";

  # The message for a path to nothing.
  missing =
    path:
    "there is no file '${toString path}'; a lab in a git repository sees only files that git knows, so a new one needs 'git add'";
}
