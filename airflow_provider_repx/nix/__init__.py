"""repx-lib, the language in which labs are written: `.nix` files, and the program that Nix starts to write a lab's files."""
