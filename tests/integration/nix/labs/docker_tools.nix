# Stands in for nixpkgs' dockerTools: an archive of the same form, with one layer that lists the contents.
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
          layer = io.BytesIO()
          with tarfile.open(fileobj=layer, mode="w") as tar:
              data = os.environ["contents"].encode()
              member = tarfile.TarInfo("contents")
              member.size = len(data)
              tar.addfile(member, io.BytesIO(data))
          digest = hashlib.sha256(layer.getvalue()).hexdigest()
          config = json.dumps({"config": json.loads(os.environ["config"])}).encode()
          manifest = [{"Config": "config.json", "RepoTags": [os.environ["label"]], "Layers": [digest + "/layer.tar"]}]
          files = {digest + "/layer.tar": layer.getvalue(), "config.json": config, "manifest.json": json.dumps(manifest).encode()}
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
