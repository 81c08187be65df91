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
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
    e2scrub_reap.service systemd-pstore.service getty.target systemd-timesyncd.service \
    systemd-tmpfiles-clean.timer systemd-random-seed.service \
    systemd-udevd.service systemd-udevd-{control,kernel}.socket systemd-udev-trigger.service \
    systemd-{firstboot,hwdb-update,journal-catalog-update,update-done,sysusers,binfmt}.service \
    ldconfig.service kmod-static-nodes.service systemd-hibernate-clear.service \
    systemd-{pcrmachine,pcrphase-sysinit,pcrphase,tpm2-setup-early,tpm2-setup}.service \
    systemd-ask-password-{console,wall}.path proc-sys-fs-binfmt_misc.automount \
    sys-{fs-fuse-connections,kernel-config,kernel-debug,kernel-tracing}.mount \
    dev-{hugepages,mqueue}.mount; do
    ln -sfn /dev/null "$tree/etc/systemd/system/$unit"
  done
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
  (cd "$ramdisk" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$prepared/initrd.gz"

  truncate -s 1G "$prepared/disk"
  mkfs.ext4 -q -F -O ^resize_inode -d "$tree" "$prepared/disk"
  rm -rf "$tree" "$ramdisk"
}
