# What the flake gives and what the package is made of, without nixpkgs.
{
  lib ? import ./lib.nix,
}:
let
  flake = import ../../flake.nix;
  nixpkgs = {
    lib = {
      genAttrs =
        names: f:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = f name;
          }) names
        );
      nixosSystem = { modules }: {
        config.environment.etc."snowguard/snowguard.toml".source = "${toString (builtins.length modules)} modules";
      };
    };
    legacyPackages = {
      x86_64-linux = { inherit callPackage; };
      aarch64-linux = { inherit callPackage; };
    };
  };
  callPackage =
    file: arguments:
    import file (
      {
        inherit lib;
        rustPlatform.buildRustPackage = package: package // { name = "${package.pname}-${package.version}"; };
      }
      // arguments
    );
  outputs = flake.outputs {
    self = outputs;
    inherit nixpkgs;
  };
  package = outputs.packages.x86_64-linux.default;
in
{
  inputs = builtins.attrNames flake.inputs;
  outputs = builtins.mapAttrs (_: builtins.attrNames) (
    builtins.removeAttrs outputs [ "overlays" "nixosModules" ]
  );
  module = builtins.isFunction outputs.nixosModules.default;
  overlaid = (outputs.overlays.default { inherit callPackage; } { }).snowguard.name;
  checks = builtins.attrNames outputs.checks.x86_64-linux;
  settings = outputs.checks.x86_64-linux.settings;
  package = {
    inherit (package) name postInstall cargoBuildFlags;
    inherit (package.meta) mainProgram;
    source = builtins.seq package.src true;
  };
}
