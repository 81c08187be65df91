# The systems that the scenarios deploy, each built by Nix inside the machine. A system has what a
# NixOS one has, as far as a switch and a boot need it; the differences are what a scenario is about.
let
  kernel = version: derivation {
    name = "linux-${version}";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    args = [ "-c" "echo ${version} >$out" ];
    PATH = "/usr/bin:/bin";
  };
  system =
    name: differences:
    derivation (
      {
        name = "nixos-system-machine-${name}";
        system = builtins.currentSystem;
        builder = "/bin/bash";
        args = [ ./build ];
        PATH = "/usr/bin:/bin";
        parts = ./parts;
        label = name;
        kernel = kernel "6.1";
        # What the web service does: `well`, `status` (500 to everybody), `exits` at once, or
        # `loops`: well for 20 seconds, then it crashes and is restarted for ever.
        web = "well";
        # `up`, or `cut`: the default route goes away.
        network = "up";
        # `none`, or `fails`: one more unit, which cannot be started. The switch ends with 4.
        helper = "none";
        # `1`, or `2`: the format of the data of the web service, which no older one can read.
        data = "1";
        # Part of the watchdog's own unit: where it differs, a switch stops the watchdog.
        watchdog = "1";
      }
      // differences
    );
  # What deploy-rs puts into the profile: a tree of links to the system, and a program of its own.
  wrapper =
    base:
    derivation {
      name = "activatable-${base.name}";
      system = builtins.currentSystem;
      builder = "/bin/bash";
      args = [
        "-c"
        "mkdir $out; ln -s $base/* $out/; echo done"
      ];
      PATH = "/usr/bin:/bin";
      inherit base;
    };
  systems = builtins.mapAttrs system {
    first = { };
    second = { };
    third = { };
    web-exits = { web = "exits"; };
    web-status = { web = "status"; };
    web-loops = { web = "loops"; };
    network-cut = { network = "cut"; };
    helper-fails = { helper = "fails"; };
    own-unit = { watchdog = "2"; web = "status"; };
    data-spoilt = { data = "2"; web = "status"; };
    new-kernel = { kernel = kernel "6.2"; web = "status"; };
  };
in
systems
// {
  wrapped-third = wrapper systems.third;
  wrapped-web-status = wrapper systems.web-status;
}
