# Stands in for nixpkgs' dockerTools: takes the arguments that it takes, no others, and makes an archive of the same form.
# `layered` is how buildLayeredImage is written there: with `compressor` since 24.05, with a closed list before.
{
  layered ? "new",
}:
pkgs:
let
  # What streamLayeredImage takes.
  build =
    {
      name,
      tag ? null,
      fromImage ? null,
      contents ? [ ],
      config ? { },
      architecture ? "amd64",
      created ? "1970-01-01T00:00:01Z",
      uid ? 0,
      gid ? 0,
      maxLayers ? 100,
      extraCommands ? "",
      fakeRootCommands ? "",
      includeStorePaths ? true,
    }:
    derivation {
      name = "${name}.tar";
      inherit (pkgs) system;
      builder = "${pkgs.python3}/bin/python3";
      args = [
        "-c"
        ''
          import hashlib, io, json, os, pathlib, tarfile
          def layer(members):
              buffer = io.BytesIO()
              with tarfile.open(fileobj=buffer, mode="w") as tar:
                  for name, content in sorted(members.items()):
                      member = tarfile.TarInfo(name)
                      member.size = len(content)
                      tar.addfile(member, io.BytesIO(content))
              return hashlib.sha256(buffer.getvalue()).hexdigest() + "/layer.tar", buffer.getvalue()
          # Like symlinkJoin: the files of all contents, as links below one root.
          joined = {}
          for folder in map(pathlib.Path, os.environ["contents"].split()):
              for path in folder.rglob("*"):
                  if not path.is_dir():
                      joined.setdefault(str(path.relative_to(folder)), str(path).encode())
          layers = [layer({"shared": b"shared"}), layer(joined)]
          config = json.dumps({"config": json.loads(os.environ["config"])}).encode()
          paths = [path for path, _ in layers]
          manifest = [{"Config": "config.json", "RepoTags": [os.environ["label"]], "Layers": paths}]
          files = {**dict(layers), "config.json": config, "manifest.json": json.dumps(manifest).encode()}
          with tarfile.open(os.environ["out"], os.environ["mode"]) as tar:
              for path, content in files.items():
                  member = tarfile.TarInfo(path)
                  member.size = len(content)
                  tar.addfile(member, io.BytesIO(content))
        ''
      ];
      mode = if layered == "new" then "w" else "w:gz";
      contents = map (content: "${content}") contents;
      config = builtins.toJSON config;
      label = "${name}:${tag}";
    };
in
{
  dockerTools.buildLayeredImage =
    if layered == "new" then
      # What lib.makeOverridable makes of a function.
      {
        __functionArgs = {
          name = false;
          compressor = true;
        };
        __functor =
          _:
          {
            compressor ? "gz",
            ...
          }@arguments:
          assert compressor == "none";
          build (removeAttrs arguments [ "compressor" ]);
      }
    else
      {
        name,
        tag ? null,
        contents ? [ ],
        config ? { },
        created ? "1970-01-01T00:00:01Z",
        extraCommands ? "",
        uid ? 0,
        gid ? 0,
        maxLayers ? 24,
      }@arguments:
      build arguments;
}
