# Evaluates the module on a host and shows what NixOS would get of it.
{
  lib ? import ./lib.nix,
  host,
}:
let
  inherit (lib) mkOption types;
  output = name: { outPath = "/nix/store/cccccccccccccccccccccccccccccccc-${name}"; };

  pkgs = {
    callPackage = _: _: output "snowguard";
    coreutils = output "coreutils";
    formats.toml = _: {
      type = types.attrsOf types.anything;
      generate = name: settings: output "written-${name}" // { inherit settings; };
    };
    runCommand =
      name: attributes: script:
      output name // { inherit attributes script; };
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform = { };
    };
  };

  # What the module gives to NixOS, which here takes anything.
  any =
    default:
    mkOption {
      type = types.attrsOf types.anything;
      inherit default;
    };
  off = mkOption {
    type = types.bool;
    default = false;
  };
  nixos.options = {
    systemd.services = any { };
    systemd.package = mkOption {
      type = types.package;
      default = output "systemd";
    };
    nix.package = mkOption {
      type = types.package;
      default = output "nix";
    };
    system.autoUpgrade.enable = off;
    services.comin.enable = off;
    environment.etc = any { };
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
  };

  evaluated = lib.evalModules {
    modules = [
      nixos
      ../../nixos-module/default.nix
      host
    ];
    specialArgs = { inherit pkgs; };
  };
  inherit (evaluated) config;
  file = config.environment.etc."snowguard/snowguard.toml".source or null;
in
{
  inherit (config.systemd) services;
  inherit (config.services.snowguard) settings ruleFiles;
  systemPackages = map toString config.environment.systemPackages;
  etc = builtins.attrNames config.environment.etc;
  check = file.script or null;
}
