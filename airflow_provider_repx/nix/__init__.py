"""repx-lib, the language of labs: `.nix` files, and the program that Nix starts to write a lab's files."""
