{
  description = "Snowguard: shows how a Nix store grows, and acts before it buries the machine";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      forEachSystem = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      overlays.default = final: _: {
        snowguard = final.callPackage ./nixos-module/package.nix { };
      };

      nixosModules.default = import ./nixos-module;

      packages = forEachSystem (system: rec {
        default = snowguard;
        snowguard = nixpkgs.legacyPackages.${system}.callPackage ./nixos-module/package.nix { };
      });

      checks = forEachSystem (system: {
        package = self.packages.${system}.default;

        # The settings of a host with everything on, written and checked by both programs.
        settings =
          (nixpkgs.lib.nixosSystem {
            modules = [
              self.nixosModules.default
              {
                nixpkgs.hostPlatform = system;
                services.snowguard.exporter.enable = true;
                services.snowguard.watchdog.enable = true;
              }
            ];
          }).config.environment.etc."snowguard/snowguard.toml".source;
      });
    };
}
