"""The program that Nix starts, once per stage to compose its scripts and once per lab to write the lab directory.

It runs on the Python of the machine that builds the lab: standard library only, Python 3.8 or newer.
"""
