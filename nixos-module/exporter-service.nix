# What the exporter may do: read, and listen. `systemd/snowguard-exporter.service` says the same.
{
  Type = "exec";
  Restart = "on-failure";
  RestartSec = "5s";

  DynamicUser = true;
  CapabilityBoundingSet = "";
  AmbientCapabilities = "";
  NoNewPrivileges = true;
  UMask = "0077";

  ProtectSystem = "strict";
  # GC roots are links anywhere, most of them in homes and some in /tmp. What is hidden from the
  # exporter would look gone, and what it keeps alive would be counted as dead. So homes are
  # read-only, and the host's own /tmp is bound over the private one that DynamicUser brings.
  ProtectHome = "read-only";
  BindReadOnlyPaths = [
    "/tmp"
    "/var/tmp"
  ];

  # /proc/locks and the owners of other processes tell which build users are busy. Therefore no
  # ProtectProc, no ProcSubset, no PrivatePIDs, no PrivateUsers.
  PrivateDevices = true;
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;

  DevicePolicy = "closed";
  LockPersonality = true;
  MemoryDenyWriteExecute = true;
  RemoveIPC = true;
  # AF_UNIX: the daemon of Nix is asked whether it answers.
  RestrictAddressFamilies = [
    "AF_INET"
    "AF_INET6"
    "AF_UNIX"
  ];
  RestrictNamespaces = true;
  RestrictRealtime = true;
  RestrictSUIDSGID = true;
  SystemCallArchitectures = "native";
  SystemCallErrorNumber = "EPERM";
  # The last two: the thread that walks the store steps back behind everybody else.
  SystemCallFilter = [
    "@system-service"
    "~@privileged @resources"
    "sched_setscheduler setpriority"
  ];
}
