# What the disk of a machine that is off says, mounted and read by this computer. Sourced by run;
# $disk is the folder that it is mounted on.
path_of() { cat "$disk/var/lib/machine/systems/$1"; }
disk_profile_is() { # SYSTEM
  link=$(readlink "$disk/nix/var/nix/profiles/system")
  link=$(readlink "$disk/nix/var/nix/profiles/$link")
  [ "$link" = "$(path_of "$1")" ] || { echo "on the disk the profile points to $link"; return 1; }
}
disk_runs_next() { # SYSTEM: profile and boot default
  local link entry
  disk_profile_is "$1"
  entry=$(sed -n 's/^default //p' "$disk/boot/loader/loader.conf")
  grep -q "init=$link/init" "$disk/boot/loader/entries/$entry" ||
    { echo "on the disk the boot loader starts $entry"; return 1; }
}
disk_recorded() { # REASON TIMES
  local times
  times=$(tail -c +$(($(cat "$disk/var/lib/machine/known") + 1)) "$disk/var/lib/snowguard/journal.jsonl" | grep -c "\"reason\":\"$1\"") || true
  [ "$times" = "$2" ] || { echo "on the disk the journal tells of $1 $times times, not $2 times"; return 1; }
}
went_back() { # SYSTEM
  disk_runs_next "$1"
  disk_recorded rolled_back 1
  disk_recorded profile_set 1
}
stayed() { # SYSTEM
  disk_runs_next "$1"
  disk_recorded rolled_back 0
  disk_recorded profile_set 0
}
