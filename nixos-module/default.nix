# services.snowguard: the exporter and the watchdog, each with a unit of its own.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.snowguard;
  toml = pkgs.formats.toml { };

  mode =
    remedy:
    lib.mkOption {
      type = lib.types.enum [
        "off"
        "observe"
        "act"
      ];
      default = "observe";
      description = ''
        How far the remedy `${remedy}` may go: `off`, `observe` (everything but the act: the journal
        tells what would have been done) or `act`.
      '';
    };

  written = toml.generate "snowguard.toml" cfg.settings;

  # A mistake must fail the build of the system, not the unit after the deploy.
  checked =
    pkgs.runCommand "snowguard.toml"
      {
        nativeBuildInputs = [ cfg.package ];
      }
      ''
        snowguard-exporter --check-config --config ${written}
        # The disks of the machine that builds are not those of the host.
        snowguard check-config --elsewhere --config ${written}
        cp ${written} $out
      '';
  reload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
  canRun = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  # While this file is there, an updater is held: see `watchdog/src/act/hold_updater.rs`.
  held.unitConfig.ConditionPathExists = [
    "!${cfg.settings.watchdog.state_dir or "/var/lib/snowguard"}/updater-held"
    # On a full disk the flag is there.
    "!/run/snowguard/updater-held"
  ];
  configFile = if canRun then checked else written;
in
{
  options.services.snowguard = {
    exporter.enable = lib.mkEnableOption "the Snowguard exporter, which publishes facts of this Nix host for Prometheus. No port is opened in the firewall";

    watchdog.enable = lib.mkEnableOption ''
      the Snowguard watchdog, which evaluates the alert rules on this host and heals: emergency
      garbage collection and rollback. Both remedies only observe until `settings.gc.mode` and
      `settings.rollback.mode` say `act`.

      A deploy never restarts the watchdog, so that a deploy is guarded by what was there before it.
      New settings are taken over by a reload; a new version, and settings that come with it, are in
      force after `systemctl restart snowguard` or a reboot
    '';

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package with both programs.";
    };

    ruleFiles = lib.mkOption {
      type = lib.types.listOf lib.types.path;
      default = map (name: "${cfg.package}/share/snowguard/rules/${name}.rules.yaml") [
        "nix-builds"
        "nix-store"
        "nix-substituters"
        "nixos-deploy"
        "snowguard"
      ];
      defaultText = lib.literalMD "the rule files of the package";
      description = ''
        The Prometheus rule files that the watchdog heals by. They are checked when the system is
        built, so they must be in the store. On the Prometheus server, give the same to
        `services.prometheus.ruleFiles`: what pages is then what heals.
      '';
    };

    settings = lib.mkOption {
      default = { };
      description = ''
        The content of {file}`/etc/snowguard/snowguard.toml`, which both programs read. It is
        checked when the system is built.
      '';
      example = lib.literalExpression ''
        {
          exporter.listen = "127.0.0.1:7669";
          gc.mode = "act";
          gc.trigger = "10%";
          probes.web = {
            kind = "http";
            url = "http://127.0.0.1/health";
          };
        }
      '';
      type = lib.types.submodule {
        freeformType = toml.type;
        options = {
          exporter.listen = lib.mkOption {
            type = lib.types.either lib.types.str (lib.types.listOf lib.types.str);
            default = ":7669";
            example = [
              "127.0.0.1:7669"
              "[::1]:7669"
            ];
            description = "Where the exporter listens: `ADDRESS:PORT`, or `:PORT` for every address.";
          };
          gc.mode = mode "gc";
          rollback.mode = mode "rollback";
          rules.files = lib.mkOption {
            type = lib.types.listOf lib.types.str;
            # Interpolation brings a path of the configuration into the store.
            default = map (file: "${file}") cfg.ruleFiles;
            defaultText = lib.literalExpression "config.services.snowguard.ruleFiles";
            description = "The rule files that the watchdog heals by.";
          };
        };
      };
    };
  };

  config = lib.mkMerge [
    (lib.mkIf (cfg.exporter.enable || cfg.watchdog.enable) {
      environment.systemPackages = [ cfg.package ];
      environment.etc."snowguard/snowguard.toml".source = configFile;
    })

    (lib.mkIf cfg.exporter.enable {
      systemd.services.snowguard-exporter = {
        description = "Snowguard exporter: facts of this Nix host for Prometheus";
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
        startLimitIntervalSec = 0;
        unitConfig.RequiresMountsFor = [
          "/nix/store"
          "/nix/var/nix"
        ];
        restartTriggers = [ configFile ];
        # glibc keeps what was freed for later (mallopt(3)): of a large store that is a third of all
        # that the exporter would have in memory between two scrapes.
        environment = {
          MALLOC_MMAP_THRESHOLD_ = "65536";
          MALLOC_TRIM_THRESHOLD_ = "65536";
        };
        serviceConfig = import ./exporter-service.nix // {
          ExecStart = "${cfg.package}/bin/snowguard-exporter";
          ExecReload = reload;
        };
      };
    })

    # The watchdog holds the running ones itself; after a boot it would come too late for that.
    (lib.mkIf (cfg.watchdog.enable && (config.system.autoUpgrade.enable or false)) {
      systemd.services.nixos-upgrade = held;
    })

    (lib.mkIf (cfg.watchdog.enable && (config.services.comin.enable or false)) {
      systemd.services.comin = held;
    })

    (lib.mkIf cfg.watchdog.enable {
      systemd.services.snowguard = {
        description = "Snowguard watchdog: heals this Nix host by its own alerts";
        wantedBy = [ "multi-user.target" ];
        # GC roots below a home that is not mounted yet look gone, and Nix forgets such roots. One that
        # cannot be mounted keeps nobody from going back from the deploy that broke it: nothing is
        # collected while it is not there (`host/src/store/roots/unmounted.rs`).
        after = [
          "local-fs.target"
          "remote-fs.target"
          "nix-daemon.socket"
          "home.mount"
          "root.mount"
        ];
        startLimitIntervalSec = 0;
        unitConfig.RequiresMountsFor = [
          "/nix/store"
          "/nix/var/nix"
        ];
        # The deploy on trial must not bring its own judge, and a rollback must not stop the
        # program that does it.
        restartIfChanged = false;
        stopIfChanged = false;
        reloadTriggers = [ configFile ];
        path = [
          config.nix.package
          config.systemd.package
        ];
        serviceConfig = import ./watchdog-service.nix // {
          ExecStart = "${cfg.package}/bin/snowguard watch";
          ExecReload = reload;
        };
      };
    })
  ];
}
