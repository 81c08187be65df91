//! What each unit may and may not do.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{BOTH, evaluate, workspace};

/// What makes systemd run a service in a mount namespace of its own, now or in some versions
/// (`exec_needs_mount_namespace` in systemd's `src/core/execute.c`, 2026).
const MOUNT_NAMESPACE: [&str; 38] = [
    "BindLogSockets",
    "BindPaths",
    "BindReadOnlyPaths",
    "DynamicUser",
    "ExecPaths",
    "ExtensionDirectories",
    "ExtensionImages",
    "IPCNamespacePath",
    "InaccessiblePaths",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "LogNamespace",
    "MountFlags",
    "MountImages",
    "NetworkNamespacePath",
    "NoExecPaths",
    "PrivateBPF",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivatePIDs",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RootDirectory",
    "RootImage",
    "TemporaryFileSystem",
];

fn service(host: &Value, name: &str) -> serde_json::Map<String, Value> {
    let config = &host["services"][name]["serviceConfig"];
    config.as_object().unwrap().clone()
}

/// `[Section]` of a unit: every value of every key.
fn section(unit: &str, section: &str) -> BTreeMap<String, Vec<String>> {
    let path = workspace().join("nixos-module/systemd").join(unit);
    let text = fs::read_to_string(path).unwrap();
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut current = "";
    for line in text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_end_matches(']');
        } else if current == section {
            let (key, value) = line.split_once('=').unwrap();
            found.entry(key.into()).or_default().push(value.into());
        }
    }
    found
}

/// The values of one setting, as NixOS writes them into a unit.
fn written(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(written).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

#[test]
fn the_exporter_has_no_privilege() {
    let exporter = service(&evaluate(BOTH).unwrap(), "snowguard-exporter");
    for (key, value) in [
        ("DynamicUser", json!(true)),
        ("CapabilityBoundingSet", json!("")),
        ("AmbientCapabilities", json!("")),
        ("NoNewPrivileges", json!(true)),
        ("ProtectSystem", json!("strict")),
        (
            "RestrictAddressFamilies",
            json!(["AF_INET", "AF_INET6", "AF_UNIX"]),
        ),
    ] {
        assert_eq!(exporter.get(key), Some(&value), "{key}");
    }
    // `ProtectSystem=strict` makes all of the file system read-only, but for these.
    for key in [
        "ReadWritePaths",
        "BindPaths",
        "StateDirectory",
        "RuntimeDirectory",
    ] {
        assert_eq!(exporter.get(key), None, "{key}");
    }
}

#[test]
fn nothing_that_keeps_a_path_alive_or_a_build_user_busy_is_hidden_from_the_exporter() {
    let exporter = service(&evaluate(BOTH).unwrap(), "snowguard-exporter");
    for key in [
        "ProtectProc",
        "ProcSubset",
        "PrivatePIDs",
        "PrivateUsers",
        "InaccessiblePaths",
        "TemporaryFileSystem",
        "RootDirectory",
    ] {
        assert_eq!(exporter.get(key), None, "{key}");
    }
    assert_eq!(exporter["ProtectHome"], "read-only");
    // DynamicUser brings a private /tmp that cannot be refused, only covered: systemd prefers a
    // bind mount (`MountMode` in its `src/core/namespace.c`).
    assert_eq!(exporter["BindReadOnlyPaths"], json!(["/tmp", "/var/tmp"]));
}

#[test]
fn the_watchdog_runs_in_the_hosts_own_mount_namespace() {
    let watchdog = service(&evaluate(BOTH).unwrap(), "snowguard");
    let plain = section("snowguard.service", "Service");
    for key in MOUNT_NAMESPACE {
        assert_eq!(watchdog.get(key), None, "{key}");
        assert_eq!(plain.get(key), None, "{key}");
    }
    assert_eq!(watchdog.get("User"), None, "it runs as root");
}

#[test]
fn the_watchdog_keeps_what_it_knows_and_listens_on_nothing() {
    let host = evaluate(BOTH).unwrap();
    let watchdog = service(&host, "snowguard");
    for (key, value) in [
        ("RuntimeDirectory", json!("snowguard")),
        ("RuntimeDirectoryPreserve", json!(true)),
        ("StateDirectory", json!("snowguard")),
        ("SocketBindDeny", json!("any")),
        ("Restart", json!("always")),
    ] {
        assert_eq!(watchdog.get(key), Some(&value), "{key}");
    }
    assert!(watchdog["OOMScoreAdjust"].as_i64().unwrap() < 0);
    let unit = &host["services"]["snowguard"];
    let path = unit["path"].as_array().unwrap();
    for program in ["-nix", "-systemd"] {
        let found = path.iter().any(|p| p.as_str().unwrap().ends_with(program));
        assert!(found, "{program} is not in {path:?}");
    }
}

#[test]
fn a_deploy_does_not_replace_its_own_judge() {
    let host = evaluate(BOTH).unwrap();
    let watchdog = &host["services"]["snowguard"];
    assert_eq!(watchdog["restartIfChanged"], false);
    assert_eq!(watchdog["stopIfChanged"], false);
    assert_eq!(watchdog.get("restartTriggers"), None);
}

#[test]
fn new_settings_reach_the_running_programs() {
    let host = evaluate(BOTH).unwrap();
    let file = json!(["/nix/store/cccccccccccccccccccccccccccccccc-snowguard.toml"]);
    assert_eq!(host["services"]["snowguard"]["reloadTriggers"], file);
    assert_eq!(
        host["services"]["snowguard-exporter"]["restartTriggers"],
        file
    );
    for name in ["snowguard", "snowguard-exporter"] {
        let reload = service(&host, name)["ExecReload"].clone();
        assert!(
            reload
                .as_str()
                .unwrap()
                .ends_with("/bin/kill -HUP $MAINPID")
        );
    }
}

#[test]
fn the_units_for_other_distributions_say_what_the_module_says() {
    let host = evaluate(BOTH).unwrap();
    // Where programs are, and how they are found, differs.
    let own = ["ExecStart", "ExecReload", "Environment"];
    for name in ["snowguard", "snowguard-exporter"] {
        let file = format!("{name}.service");
        let mut plain = section(&file, "Service");
        plain.retain(|key, _| !own.contains(&key.as_str()));
        let module: BTreeMap<_, _> = service(&host, name)
            .iter()
            .filter(|(key, _)| !own.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), written(value)))
            .collect();
        assert_eq!(plain, module, "{name}");

        let unit = &host["services"][name];
        let plain = section(&file, "Unit");
        for (key, value) in [
            ("Description", &unit["description"]),
            ("After", &unit["after"]),
            (
                "RequiresMountsFor",
                &unit["unitConfig"]["RequiresMountsFor"],
            ),
            ("StartLimitIntervalSec", &unit["startLimitIntervalSec"]),
        ] {
            assert_eq!(plain[key], [written(value).join(" ")], "{name}: {key}");
        }
        if let Some(environment) = unit["environment"].as_object() {
            let said = section(&file, "Service")["Environment"].join(" ");
            for (key, value) in environment {
                let pair = format!("{key}={}", value.as_str().unwrap());
                assert!(said.split(' ').any(|given| given == pair), "{name}: {pair}");
            }
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_exposure_of_the_exporter() {
    let dir = tempfile::tempdir().unwrap();
    let units = ["snowguard.service", "snowguard-exporter.service"].map(|name| {
        let path = workspace().join("nixos-module/systemd").join(name);
        let text = fs::read_to_string(path).unwrap();
        // The programs are not installed here; any other program is as good to the check.
        let text = text.replace("=/usr/bin/snowguard", "=/bin/true snowguard");
        assert!(text.contains("=/bin/true"), "{name}");
        let unit = dir.path().join(name);
        fs::write(&unit, text).unwrap();
        unit
    });
    let analyze = |arguments: &[&str], units: &[PathBuf]| {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(arguments).args(units).output();
        let output = output.expect("systemd-analyze of the package systemd: run tests/lab/install");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let found = analyze(&["verify", "--man=no"], &units);
    assert_eq!(found, (true, String::new()));
    // On its scale of 0 to 10; 2 is "OK". What is left is the network and the view of /proc.
    let (is_low, said) = analyze(
        &["security", "--offline=true", "--threshold=20", "--no-pager"],
        &units[1..],
    );
    assert!(is_low, "{said}");
}

#[test]
fn an_updater_that_is_held_does_not_start_at_the_next_boot_before_the_watchdog_does() {
    let host = "{ services.snowguard.watchdog.enable = true; services.comin.enable = true; \
                system.autoUpgrade.enable = true; }";
    let both = evaluate(host).unwrap();
    for unit in ["nixos-upgrade", "comin"] {
        let condition = &both["services"][unit]["unitConfig"]["ConditionPathExists"];
        assert_eq!(
            *condition,
            json!([
                "!/var/lib/snowguard/updater-held",
                "!/run/snowguard/updater-held"
            ]),
            "{unit}"
        );
    }
    let elsewhere = evaluate(
        "{ services.snowguard = { watchdog.enable = true; \
         settings.watchdog.state_dir = \"/persist/sg\"; }; system.autoUpgrade.enable = true; }",
    );
    let services = &elsewhere.unwrap()["services"];
    let condition = &services["nixos-upgrade"]["unitConfig"]["ConditionPathExists"];
    assert_eq!(
        *condition,
        json!(["!/persist/sg/updater-held", "!/run/snowguard/updater-held"])
    );
    // Where there is no updater, none is made.
    assert_eq!(services["comin"], Value::Null);
}
