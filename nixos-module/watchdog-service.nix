# The watchdog runs as root in the host's own mount namespace. A collection that Nix runs in
# another one (ProtectHome, PrivateTmp, ProtectSystem, …) sees no users' GC roots, unlinks them,
# and their closures die: nothing here may make such a namespace.
# `systemd/snowguard.service` says the same.
{
  Type = "exec";
  Restart = "always";
  RestartSec = "5s";
  # A switch that stops the watchdog waits for its end. Killed, it goes on from what is on disk.
  TimeoutStopSec = "15s";

  # state.json, which the exporter reads. It stays while the watchdog restarts.
  RuntimeDirectory = "snowguard";
  RuntimeDirectoryMode = "0755";
  RuntimeDirectoryPreserve = true;
  StateDirectory = "snowguard";
  StateDirectoryMode = "0700";

  # It must live through the very shortage that it is there for.
  OOMScoreAdjust = -500;

  # It listens on nothing. Unlike the other protections of systemd this one needs no namespace.
  SocketBindDeny = "any";
}
