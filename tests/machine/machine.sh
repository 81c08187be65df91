# One machine: its emulator, its two serial lines, its monitor. Sourced by run.
# Every wait has a deadline of this computer's clock.

# What a kernel does at its start that is of no use to this one: patches against other machines'
# faults, tests of itself, measuring a clock that is known, and readying what nobody asks for.
spared="mitigations=off cryptomgr.notests audit=0 apparmor=0 selinux=0 tsc=reliable tsc_early_khz=1000000 lpj=4000000 no_timer_check"
spared+=" initcall_blacklist=jent_mod_init,trace_eval_init,init_kprobe_trace,load_system_certificate_list,xenbus_probe_frontend_init"

# Starts a machine on the disk of the folder $1. The disk is memory that outlives the machine (an
# NVDIMM): what is written is written, with nothing that the clock would have to wait for.
start() { # FOLDER ARGUMENTS…
  local dir=$1
  shift
  rm -f "$dir"/{line,monitor}.in
  mkfifo "$dir/line.in" "$dir/monitor.in"
  exec 6<>"$dir/line.in" 7<>"$dir/monitor.in"
  "$LAB/bin/qemu" -M pc,nvdimm=on -accel tcg,thread=single -icount shift=0,sleep=off \
    -smp 1 -cpu Nehalem,-vmx,-svm -m 512M,slots=2,maxmem=4G -rtc base=utc,clock=vm \
    -object "memory-backend-file,id=disk,share=on,mem-path=$dir/disk,size=1G" -device nvdimm,memdev=disk,id=nv \
    -nodefaults -no-user-config -display none \
    -chardev "file,id=console,path=$dir/console,append=on" -serial chardev:console \
    -chardev "file,id=line,path=$dir/line,append=on,input-path=$dir/line.in" -serial chardev:line \
    -chardev "file,id=monitor,path=$dir/monitor,append=on,input-path=$dir/monitor.in" -mon monitor,mode=control \
    -kernel "$prepared/kernel" -initrd "$prepared/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 systemd.show_status=0 $spared" \
    "$@" >"$dir/qemu" 2>&1 6>&- 7>&- &
  qemu=$!
  ask "$dir" qmp_capabilities
  # The disk is memory that is shared with a file, which has its own copies.
  ask "$dir" migrate-set-capabilities '"capabilities": [{"capability": "x-ignore-shared", "state": true}]'
}

plug_out() { # what a power cut is; $spent counts the ticks of processor time of all that were
  local stat
  if stat=$(cat /proc/$qemu/stat 2>/dev/null); then
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    spent=$((spent + ${12} + ${13}))
  fi
  kill -9 $qemu 2>/dev/null || true
  wait $qemu 2>/dev/null || true
}

say() { echo "$2" >"$1"; } # FIFO LINE
ask() { say "$1/monitor.in" "{\"execute\": \"$2\"${3:+, \"arguments\": {$3\}}}"; } # FOLDER COMMAND [ARGUMENTS]
answered() { # FOLDER COMMAND ANSWER
  local until=$((SECONDS + 120))
  until tail -n 1 "$1/monitor" 2>/dev/null | grep -q "$3"; do
    if ! kill -0 $qemu || [ $SECONDS -ge $until ]; then
      echo "the emulator was to answer $3:" >&2
      tail -n 20 "$1/monitor" "$1/qemu" >&2
      return 1
    fi
    ask "$1" "$2"
    sleep 0.1
  done
}

# Waits until the machine of a folder has said this since the line $said; leaves what it said.
heard() { # FOLDER SECONDS REGEXP
  local until=$((SECONDS + $2)) line
  while :; do
    line=$(tail -n +"$((said + 1))" "$1/line" 2>/dev/null | tr -d '\r' | grep -n -m1 -E "$3") && break
    if ! kill -0 $qemu 2>/dev/null || [ $SECONDS -ge $until ]; then
      heard="nothing"
      return 1
    fi
    sleep 0.1
  done
  said=$((said + ${line%%:*}))
  heard=${line#*:}
}
