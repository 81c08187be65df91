# Both programs, the rule files they share with Prometheus, the units and the dashboard.
{
  lib,
  rustPlatform,
}:

rustPlatform.buildRustPackage {
  pname = "snowguard";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../host
      ../exporter
      ../rules
      ../watchdog
      ../tests
      ../grafana
      ./systemd
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  cargoBuildFlags = [
    "--package=snowguard-exporter"
    "--package=snowguard-watchdog"
  ];

  # Most tests judge against several versions of Nix and a Prometheus, mount file systems and run
  # as root: `make test` runs them, a build sandbox cannot. That the programs run here is checked.
  doCheck = false;
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/snowguard-exporter --check-config
    $out/bin/snowguard check-config
    runHook postInstallCheck
  '';

  postInstall = ''
    install -Dm644 -t $out/share/snowguard/rules rules/*.rules.yaml
    install -Dm644 -t $out/share/snowguard/grafana grafana/*.json
    install -Dm644 -t $out/share/snowguard/systemd nixos-module/systemd/*.service
  '';

  meta = {
    description = "Shows how a Nix store grows, and acts before it buries the machine";
    license = with lib.licenses; [
      mit
      asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "snowguard";
  };
}
