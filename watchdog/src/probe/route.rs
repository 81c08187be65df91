//! The probe that looks for a default route in `/proc/net/route` and `/proc/net/ipv6_route`.

use std::{fs, io, path::Path};

use super::config::RouteFamily;

/// `RTF_UP` of `linux/route.h`.
const UP: u32 = 0x1;
/// `RTF_REJECT`: packets are refused, which is what Linux shows for `::/0` where there is none.
const REJECT: u32 = 0x200;

/// Finds a default route of the family. `net` is the directory of the two files; they show the
/// main routing table and, for IPv6, all tables, of the network namespace of the reader.
pub(super) fn check(net: &Path, family: RouteFamily) -> Result<String, String> {
    let read = |name: &str, find: fn(&str) -> Option<String>| {
        let path = net.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(find(&text)),
            // A kernel without this family has no route of it.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && net.is_dir() => Ok(None),
            Err(cause) => Err(format!("cannot read {path:?}: {cause}")),
        }
    };
    let none = |name: &str| format!("there is no default route of {name}");
    let ipv4 = || read("route", ipv4_default);
    let ipv6 = || read("ipv6_route", ipv6_default);
    let found = match family {
        RouteFamily::Ipv4 => ipv4()?.ok_or_else(|| none("IPv4"))?,
        RouteFamily::Ipv6 => ipv6()?.ok_or_else(|| none("IPv6"))?,
        RouteFamily::Any => match ipv4()? {
            Some(found) => found,
            None => ipv6()?.ok_or_else(|| none("any family"))?,
        },
    };
    Ok(format!("the default route is through {found}"))
}

fn usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0 && flags & REJECT == 0)
}

/// The interface of a default route. The columns are those of `fib_route_seq_show` in
/// `net/ipv4/fib_trie.c`.
fn ipv4_default(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, _, flags, _, _, _, mask, ..] = columns[..] else {
            return None;
        };
        let default = destination == "00000000" && mask == "00000000";
        (default && usable(flags)).then(|| interface.to_owned())
    })
}

/// The same of `rt6_info_route` in `net/ipv6/route.c`.
fn ipv6_default(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, _, _, _, _, flags, interface] = columns[..] else {
            return None;
        };
        let default = length == "00" && destination.bytes().all(|byte| byte == b'0');
        (default && usable(flags)).then(|| interface.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const LAN: &str = "eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
    const DEFAULT: &str = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    const LO6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                       00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
    const DEFAULT6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                            fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n";

    fn host(ipv4: &str, ipv6: &str) -> tempfile::TempDir {
        let net = tempfile::tempdir().expect("temporary directory");
        fs::write(net.path().join("route"), ipv4).expect("route");
        fs::write(net.path().join("ipv6_route"), ipv6).expect("ipv6_route");
        net
    }

    #[test]
    fn a_default_route_is_told_from_a_route_to_the_neighbours_and_from_a_rejecting_one() {
        let both = host(
            &format!("{HEAD}{LAN}{DEFAULT}"),
            &format!("{LO6}{DEFAULT6}"),
        );
        let none = host(&format!("{HEAD}{LAN}"), LO6);
        let only6 = host(HEAD, &format!("{DEFAULT6}{LO6}"));
        use RouteFamily as F;
        for family in [F::Any, F::Ipv4, F::Ipv6] {
            let found = check(both.path(), family).expect("there is one");
            assert!(found.contains("eth0"), "{found}");
            assert!(check(none.path(), family).is_err());
        }
        assert!(check(only6.path(), F::Any).is_ok());
        assert!(check(only6.path(), F::Ipv4).is_err());
    }

    #[test]
    fn a_proc_that_cannot_be_read_is_said_to_be_so() {
        let why = check(Path::new("/nonexistent"), RouteFamily::Any).expect_err("no proc");
        assert!(why.contains("cannot read"), "{why}");
        let net = tempfile::tempdir().expect("temporary directory");
        let why = check(net.path(), RouteFamily::Ipv6).expect_err("no such family");
        assert!(why.contains("no default route of IPv6"), "{why}");
    }
}
