# Stands in for nixpkgs' dockerTools: an archive of the same form, with a layer that all images share and one of its own.
pkgs: {
  dockerTools.buildLayeredImage =
    { name, tag, contents, config, compressor }:
    derivation {
      name = "${name}.tar";
      inherit (pkgs) system;
      builder = "${pkgs.python3}/bin/python3";
      args = [
        "-c"
        ''
          import hashlib, io, json, os, tarfile
          def layer(text):
              buffer = io.BytesIO()
              with tarfile.open(fileobj=buffer, mode="w") as tar:
                  member = tarfile.TarInfo("contents")
                  member.size = len(text)
                  tar.addfile(member, io.BytesIO(text.encode()))
              return hashlib.sha256(buffer.getvalue()).hexdigest() + "/layer.tar", buffer.getvalue()
          layers = [layer("shared"), layer(os.environ["contents"])]
          config = json.dumps({"config": json.loads(os.environ["config"])}).encode()
          paths = [path for path, _ in layers]
          manifest = [{"Config": "config.json", "RepoTags": [os.environ["label"]], "Layers": paths}]
          files = {**dict(layers), "config.json": config, "manifest.json": json.dumps(manifest).encode()}
          with tarfile.open(os.environ["out"], "w") as tar:
              for path, content in files.items():
                  member = tarfile.TarInfo(path)
                  member.size = len(content)
                  tar.addfile(member, io.BytesIO(content))
        ''
      ];
      inherit contents;
      config = builtins.toJSON config;
      label = "${name}:${tag}";
    };
}
