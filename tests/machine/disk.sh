# The disk of the machine and its initial ramdisk. Sourced by run.

make_disk() { # the tree of Debian with ours in it, and the initial ramdisk
  local tree=$work/tree ramdisk=$work/ramdisk modules module unit program
  cp -a "$LAB/debian-machine/." "$tree"
  mkdir -p "$tree/machine" "$tree"/etc/{snowguard,machine} "$tree/usr/local/lib/systemd" "$tree/boot/EFI" \
    "$tree/var/lib/machine" "$tree/nix/var/nix/profiles"
  # What a debugger wants would make the disk four times as large as it is.
  for program in snowguard snowguard-exporter; do strip -o "$tree/usr/bin/$program" "$bin/$program"; done
  cp -r "$here"/tests/machine/guest/. "$here/tests/machine/system" "$tree/machine/"
  cp "$here/nixos-module/systemd/snowguard.service" "$tree/machine/system/parts/"
  echo '# @watchdog@' >>"$tree/machine/system/parts/snowguard.service"
  ln -s /etc/static/systemd/system "$tree/usr/local/lib/systemd/system"
  mv "$tree"/machine/{machine-agent,nixos-upgrade}.service "$tree/etc/systemd/system/"
  # As NixOS has them: what runs and what was booted is not collected.
  mkdir -p "$tree/nix/var/nix/gcroots"
  ln -sfn /run/current-system "$tree/nix/var/nix/gcroots/current-system"
  ln -sfn /run/booted-system "$tree/nix/var/nix/gcroots/booted-system"
  ln -s ../machine-agent.service "$tree/etc/systemd/system/multi-user.target.wants/"
  # What only costs time in a machine that has no hardware to wait for and that nobody logs in to;
  # the generators alone are half of what each reload of systemd would cost.
  # A unit that is not there costs nothing; a masked one is looked for and read at each reload.
  (
    cd "$tree/usr/lib/systemd/system"
    for unit in apt-daily* dpkg-db-backup* fstrim* e2scrub* cryptdisks* kmod* hwclock* ldconfig* quotaon* rpcbind* \
      x11-common* getty.target getty-static* *-getty@* getty@* console-getty* autovt@* initrd* runlevel* \
      dev-{hugepages,mqueue}.mount proc-sys-fs-binfmt_misc.* sys-{fs-fuse-connections,kernel-config,kernel-debug,kernel-tracing}.mount \
      systemd-{pstore,timesyncd,random-seed,udev,firstboot,hwdb-update,journal-catalog-update,update-done,sysusers}* \
      systemd-{binfmt,hibernate,hybrid-sleep,suspend,pcr,tpm2,ask-password,creds,hostnamed,initctl,sysext,confext}* \
      systemd-{networkd,network-generator,fsck,quotacheck,growfs,backlight,rfkill,storagetm,bsod,localed,timedated}* \
      systemd-{tmpfiles-clean,boot-check,battery-check,volatile-root,journald-audit}*; do
      rm -rf -- "$unit" *.wants/"$unit" "$tree"/etc/systemd/system/*.wants/"$unit"
    done
  )
  rm "$tree"/usr/lib/systemd/system-generators/*
  # What nobody reads there, and each look at the whole disk would come by.
  rm -rf "$tree"/usr/share/{doc,man,locale} "$tree"/boot/*-cloud-amd64 "$tree"/{vmlinuz,initrd.img}*
  printf 'sandbox = false\nsubstitute = false\n' >"$tree/etc/nix/nix.conf"
  echo machine >"$tree/etc/hostname"
  cp "$tree/machine/snowguard.toml" "$tree/etc/snowguard/snowguard.toml"

  mkdir -p "$ramdisk/bin"
  cp /bin/busybox "$ramdisk/bin/"
  install -m 755 "$here/tests/machine/initrd" "$ramdisk/init"
  modules=$(echo "$tree"/lib/modules/*/kernel/drivers)
  for module in acpi/nfit/nfit nvdimm/libnvdimm nvdimm/nd_btt nvdimm/nd_pmem; do
    busybox xzcat "$modules/$module.ko.xz" >"$ramdisk/${module##*/}.ko"
  done
  find "${modules%/drivers}" -name '*.ko.xz' ! -name dummy.ko.xz -delete
  unpack_kernel
  (cd "$ramdisk" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$prepared/initrd.gz"

  truncate -s 1G "$prepared/disk"
  mkfs.ext4 -q -F -O ^resize_inode -d "$tree" "$prepared/disk"
  rm -rf "$tree" "$ramdisk"
}

# The kernel as it is after it has unpacked itself, which takes a fifth of a boot under emulation. Where
# it lies in the file: Documentation/arch/x86/boot.rst of Linux (setup_sects, payload_offset,
# payload_length, whose last four bytes tell how large it is unpacked).
unpack_kernel() {
  local setup offset length
  setup=$(od -An -tu1 -j $((0x1f1)) -N 1 "$packed_kernel")
  offset=$(od -An -tu4 -j $((0x248)) -N 4 "$packed_kernel")
  length=$(od -An -tu4 -j $((0x24c)) -N 4 "$packed_kernel")
  dd if="$packed_kernel" bs=1M iflag=skip_bytes,count_bytes status=none \
    skip=$(((setup + 1) * 512 + offset)) count=$((length - 4)) | zstd -dqc >"$prepared/kernel"
}
