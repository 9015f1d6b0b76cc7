//! Directories: which file systems a journal may lie on (LMDB's locks and its memory map need a local one), and
//! making their entries durable.

use std::path::Path;

/// The name of the network file system that `dir` is on; `None` if it is on a local one.
///
/// # Errors
/// If it cannot be found out.
#[cfg(target_os = "linux")]
pub(super) fn network_filesystem(dir: &Path) -> std::io::Result<Option<String>> {
    let magic = rustix::fs::statfs(dir)?.f_type;
    // The type is wider on some platforms than on others; magic numbers have 32 bits.
    let magic = magic as u32;
    let fuse = if magic == FUSE {
        fuse_kind(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), dir)
    } else {
        None
    };
    Ok(judge(magic, fuse.as_deref()))
}

/// Elsewhere nothing is refused: no supported release runs there.
#[cfg(not(target_os = "linux"))]
pub(super) fn network_filesystem(_dir: &Path) -> std::io::Result<Option<String>> {
    Ok(None)
}

/// Makes durable which files are in `dir`; an empty path is the current directory.
pub(super) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    std::fs::File::open(dir)?.sync_all()
}

const FUSE: u32 = 0x6573_5546;

/// From statfs(2) and linux/magic.h.
const NETWORK: [(u32, &str); 12] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
];

/// FUSE serves local disks too (NTFS, a desktop's shared folders); these are remote.
const REMOTE_FUSE: [&str; 16] = [
    "sshfs",
    "s3fs",
    "goofys",
    "geesefs",
    "mountpoint-s3",
    "gcsfuse",
    "blobfuse",
    "blobfuse2",
    "rclone",
    "glusterfs",
    "ceph",
    "ceph-fuse",
    "juicefs",
    "seaweedfs",
    "davfs",
    "curlftpfs",
];

fn judge(magic: u32, fuse: Option<&str>) -> Option<String> {
    if let Some((_, name)) = NETWORK.iter().find(|(number, _)| *number == magic) {
        return Some((*name).to_owned());
    }
    let kind = fuse?.strip_prefix("fuse.")?;
    let kind = kind.to_ascii_lowercase();
    REMOTE_FUSE.contains(&kind.as_str()).then(|| format!("FUSE ({kind})"))
}

/// The type of the mount that `dir`, an absolute path, is on, from proc_pid_mountinfo(5): the fifth field is the mount
/// point, the first one after the lonely hyphen is the type.
fn fuse_kind(mountinfo: &str, dir: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        // Spaces in mount points are written as octal escapes.
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        dir.starts_with(&point).then(|| (point.len(), kind.split(' ').next().unwrap_or_default().to_owned()))
    };
    mountinfo.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic_number() {
        assert_eq!(judge(0x6969, None).as_deref(), Some("NFS"));
        assert_eq!(judge(0xff53_4d42, None).as_deref(), Some("CIFS"));
        assert_eq!(judge(0xef53, None), None, "ext4");
        assert_eq!(judge(0x0102_1994, None), None, "tmpfs");
    }

    #[test]
    fn of_fuse_only_the_remote_ones_are_refused() {
        assert_eq!(judge(FUSE, Some("fuse.sshfs")).as_deref(), Some("FUSE (sshfs)"));
        assert_eq!(judge(FUSE, Some("fuseblk")), None);
        assert_eq!(judge(FUSE, Some("fuse.grpcfuse")), None);
        assert_eq!(judge(FUSE, None), None);
    }

    #[test]
    fn the_innermost_mount_counts() {
        let mountinfo = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                         40 22 0:35 / /mnt/my\\040disk rw,nosuid shared:2 - fuse.sshfs host: rw\n";
        assert_eq!(fuse_kind(mountinfo, Path::new("/mnt/my disk/data")).as_deref(), Some("fuse.sshfs"));
        assert_eq!(fuse_kind(mountinfo, Path::new("/mnt/other")).as_deref(), Some("ext4"));
    }

    #[test]
    fn the_directory_for_temporary_files_is_local() {
        assert_eq!(network_filesystem(&std::env::temp_dir()).unwrap(), None);
    }
}
