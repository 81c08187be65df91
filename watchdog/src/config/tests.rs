use super::*;

fn refused(text: &str) -> String {
    Settings::parse(text).unwrap_err()
}

#[test]
fn nothing_written_means_every_remedy_only_observes() {
    let settings = Settings::parse("").unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(
        (settings.gc.mode, settings.rollback.mode),
        (Mode::Observe, Mode::Observe)
    );
}

#[test]
fn a_whole_file_is_read_and_the_exporters_section_left_to_the_exporter() {
    let settings = Settings::parse(
        r#"
        [exporter]
        listen = "127.0.0.1:7669"
        [watchdog]
        interval = "5s"
        [gc]
        mode = "act"
        trigger = "2GiB"
        target = "20%"
        trigger_files = "3%"
        keep_generations = 3
        [rollback]
        mode = "act"
        soak = "1m"
        [probes.web]
        kind = "tcp"
        address = "127.0.0.1:80"
        "#,
    )
    .unwrap();
    assert_eq!(settings.interval, Duration::from_secs(5));
    assert_eq!(settings.gc.mode, Mode::Act);
    assert_eq!(settings.gc.trigger, Amount::Bytes(ByteSize(2 << 30)));
    assert_eq!(settings.gc.keep_generations, 3);
    assert_eq!(settings.rollback.soak, Duration::from_secs(60));
    assert!(settings.probes.contains_key("web"));
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_keys_there_are() {
    let message = refused("[gc]\nmode = \"act\"\ntreshold = \"5%\"\n");
    assert!(message.contains("treshold"), "{message}");
    assert!(message.contains("line 3"), "{message}");
    assert!(message.contains("trigger"), "{message}");
}

#[test]
fn a_wrong_unit_is_an_error_that_shows_a_right_one() {
    let message = refused("[gc]\ncooldown = \"5 parsecs\"\n");
    assert!(message.contains("parsecs"), "{message}");
    let message = refused("[gc]\ntrigger_files = \"5GiB\"\n");
    assert!(message.contains("a share such as \"5%\""), "{message}");
}

#[test]
fn a_threshold_above_its_ceiling_is_an_error() {
    for text in [
        "[gc]\ntrigger = \"20%\"\ntarget = \"15%\"\n",
        "[gc]\ntrigger = \"2GiB\"\ntarget = \"2GiB\"\n",
        "[gc]\ntrigger_files = \"10%\"\n",
        "[gc]\nkeep_generations = 0\n",
        "[gc.profiles.system]\nkeep_generations = 0\n",
        "[gc.profiles.system]\nkeep_oldest = 1\n",
        "[gc]\nballast = \"1MiB\"\n",
        "[gc]\ndeadline = \"0s\"\n",
        "[rollback]\nsoak = \"0s\"\n",
        "[rollback]\nrequire_confirmation = \"5s\"\n",
        "[rollback]\nrequire_confirmation = \"100w\"\n",
        "[rollback]\nverify_soak = \"5m\"\n",
        "[probes.web]\nkind = \"tcp\"\naddress = \"[::1]:80\"\ninterval = \"150s\"\n",
        "[probes.web]\nkind = \"tcp\"\naddress = \"[::1]:80\"\ngrace = \"3m\"\n",
        "[rollback]\nverify_soak = \"0s\"\n",
        "[rollback]\nverify_soak = \"1s\"\n",
        "[probes.p]\nkind = \"dns\"\nhost = \"a\"\ninterval = \"10m\"\n",
        "[watchdog]\ninterval = \"10m\"\n",
        "[watchdog]\nstate_dir = \"here\"\n",
        "[watchdog]\njournal_size = \"1KiB\"\n",
        "[watchdog]\njournal_files = 0\n",
        "[watchdog]\nstate_dir = \"/var/lib/100%\"\n",
        "[rollback]\nupdaters = [\"nixos-upgrade.timer\"]\n",
        "[rollback]\nupdaters = [\"-H evil\"]\n",
        "[rollback]\nhold_command = [\"/bin/true\"]\n",
        "[rollback]\njitter = \"2h\"\n",
        "[rollback.profiles.system]\nprofile = \"/p/x\"\nactivate = [\"/a\"]\n",
        "[rollback.profiles.home]\nprofile = \"p/x\"\nactivate = [\"/a\"]\n",
        "[rollback.profiles.home]\nprofile = \"/p/x\"\nactivate = []\n",
        "[rollback.profiles.home]\nprofile = \"/p/x\"\nactivate = [\"a\"]\n",
        "[rollback.profiles.home]\nprofile = \"/nix/var/nix/profiles/system\"\nactivate = [\"/a\"]\n",
        "[rollback.profiles.\"a/b\"]\nprofile = \"/p/x\"\nactivate = [\"/a\"]\n",
        "[rollback.profiles.a]\nprofile = \"/p/x\"\nactivate = [\"/a\"]\n\
         [rollback.profiles.b]\nprofile = \"/p/x\"\nactivate = [\"/a\"]\n",
        "[probes.p]\nkind = \"dns\"\nhost = \"a\"\nprofile = \"home\"\n",
        "[rollback.fleet_lock]\nurl = \"lock.example.org\"\n",
        "[rollback.fleet_lock]\nurl = \"http://l/?a\"\n",
        "[rollback.fleet_lock]\nurl = \"http://l\"\ngroup = \"a b\"\n",
        "[rollback.fleet_lock]\nurl = \"http://l\"\nwhen_silent = \"panic\"\n",
        "[rollback.fleet_lock]\nurl = \"http://l\"\ntimeout = \"1m\"\n",
        "[rollback.fleet_lock]\nurl = \"http://l\"\nid = \"\"\n",
        "[rollback.fleet_lock]\ngroup = \"a\"\n",
        "[rollback]\nhold_command = [\"true\"]\nrelease_command = [\"true\"]\n",
    ] {
        assert!(Settings::parse(text).is_err(), "{text}");
    }
}

#[test]
fn two_looks_in_a_row_are_healthy_time_however_far_apart_they_are_meant_to_be() {
    let rollback = |interval: &str| {
        let text = format!("[watchdog]\ninterval = \"{interval}\"\n");
        Settings::parse(&text).unwrap().rollback
    };
    let seconds = Duration::from_secs;
    assert_eq!(rollback("15s").max_gap, seconds(120));
    assert_eq!(rollback("2m").max_gap, seconds(240));
    assert_eq!(rollback("15s").verify_soak, seconds(30));
    assert_eq!(rollback("2m").verify_soak, seconds(120));
}

#[test]
fn what_may_be_removed_has_an_age_or_never_goes() {
    let gc = |text: &str| Settings::parse(&format!("[gc]\n{text}\n")).map(|settings| settings.gc);
    let day = Duration::from_secs(86_400);
    let default = gc("").unwrap();
    assert_eq!(default.build_dirs_older_than, Some(day));
    assert_eq!(default.logs_older_than, Some(30 * day));
    assert_eq!(default.stale_roots_older_than, None);
    let set = gc("build_dirs_older_than = \"never\"\nstale_roots_older_than = \"90d\"").unwrap();
    assert_eq!(set.build_dirs_older_than, None);
    assert_eq!(set.stale_roots_older_than, Some(90 * day));
    for text in [
        "logs_older_than = \"5m\"",
        "logs_older_than = \"sometimes\"",
    ] {
        let message = gc(text).unwrap_err();
        assert!(message.contains("\"never\""), "{message}");
    }
}

#[test]
fn an_updater_is_named_as_people_name_a_service() {
    let settings = Settings::parse("[rollback]\nupdaters = [\"comin\", \"deploy@web.service\"]\n");
    let units = settings.unwrap().updaters.units;
    assert_eq!(units, ["comin.service", "deploy@web.service"]);
}
