"""A container of the image, without an engine: its root, read-only, as its user, and nothing of the machine but the network.

What an engine puts into every container is put here, too: /proc, /dev/null and its like, /etc/hosts, /etc/resolv.conf, a tmpfs
at /tmp, mounts where they are asked for. All of it is in namespaces that end with this process.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

UID = GID = 65532
NAMESERVER = "127.0.0.1"
# Nothing takes so long; a check that waits for more has failed.
PATIENCE = 60

_libc = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_NOSUID, _MS_NODEV = 1, 32, 4096, 2, 4


def _mount(source, target, kind, flags=0, options=""):
    done = _libc.mount(str(source).encode(), str(target).encode(), kind.encode(), flags, options.encode())
    if done != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {source} at {target}")


def _bind(source, target, flags=0):
    _mount(source, target, "none", _MS_BIND)
    if flags:
        _mount("none", target, "none", _MS_BIND | _MS_REMOUNT | flags)


class Container:
    """One container: programs in it share its volume, as those of one pod do."""

    def __init__(self, image, environment, roots=None):
        """`image` is the image's unpacked root, `roots` a file of CA certificates to have in place of the image's."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="switchboard-image-"))
        self.environment = dict(environment)
        self.root = self.directory / "root"
        # The engine makes mount points in a layer of its own before it makes the root read-only.
        upper, work = self.directory / "upper", self.directory / "work"
        for directory in (self.root, upper, work):
            directory.mkdir()
        _mount("overlay", self.root, "overlay", 0, f"lowerdir={image},upperdir={upper},workdir={work}")
        for point in ("proc", "dev", "run/secrets", "tmp"):
            (self.root / point).mkdir(parents=True, exist_ok=True)
        for file in ("etc/resolv.conf", "etc/hosts"):
            (self.root / file).touch()
        _mount("none", self.root, "none", _MS_REMOUNT | _MS_RDONLY)
        _mount("proc", self.root / "proc", "proc")
        _mount("tmpfs", self.root / "tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=512m")
        _mount("tmpfs", self.root / "dev", "tmpfs", _MS_NOSUID, "mode=755,size=64k")
        for device in ("null", "zero", "random", "urandom"):
            (self.root / "dev" / device).touch()
            _bind(f"/dev/{device}", self.root / "dev" / device)
        self.write("resolv.conf", f"nameserver {NAMESERVER}\noptions timeout:1 attempts:2\n", "etc/resolv.conf")
        self.write("hosts", "127.0.0.1 localhost\n127.0.0.1 by-hosts.test\n", "etc/hosts")
        if roots:
            _bind(roots, self.root / "etc/ssl/certs/ca-certificates.crt", _MS_RDONLY)
        secrets = self.directory / "secrets"
        secrets.mkdir()
        _bind(secrets, self.root / "run/secrets", _MS_RDONLY)
        self.secrets = secrets
        # An engine gives a new volume the owner and mode that the image's directory has.
        there = (self.root / "var/lib/switchboard").stat()
        volume = self.directory / "volume"
        volume.mkdir()
        os.chown(volume, there.st_uid, there.st_gid)
        volume.chmod(there.st_mode & 0o7777)
        _bind(volume, self.root / "var/lib/switchboard")

    def write(self, name, text, where):
        file = self.directory / name
        file.write_text(text)
        _bind(file, self.root / where, _MS_RDONLY)

    def secret(self, name, text):
        """A secret's file, for the container's user alone; its path inside."""
        file = self.secrets / name
        file.write_text(text)
        os.chown(file, UID, GID)
        file.chmod(0o440)
        return f"/run/secrets/{name}"

    def start(self, *args, **environment):
        """Starts the entrypoint with arguments."""
        return Program(self, ["/switchboard", *args], {**self.environment, **environment})

    def run(self, *args, **environment):
        """Runs it to its end: its exit code and what it said."""
        return self.start(*args, **environment).end()

    def entry(self):
        """What becomes the container's process: its root, its user and no others, nothing to be gained by set-uid."""
        user = [f"--userspec={UID}:{GID}", "--groups="]
        return ["/usr/bin/setpriv", "--no-new-privs", "/usr/sbin/chroot", *user, str(self.root)]

    def remove(self):
        for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            point = line.split()[1]
            if point.startswith(str(self.directory)):
                _libc.umount2(point.encode(), 0)
        shutil.rmtree(self.directory, ignore_errors=True)


class Program:
    """A program at work in a container."""

    def __init__(self, container, command, environment):
        self.command = command
        self.lines = []
        self._said = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*container.entry(), *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def says(self, words):
        """Waits until a line has the words."""

        def found():
            return self._ended or any(words in line for line in self.lines)

        with self._said:
            self._said.wait_for(found, PATIENCE)
            for line in self.lines:
                if words in line:
                    return line
        raise AssertionError(f"{self.command} never said {words!r}:\n{self.output()}")

    def output(self):
        return "\n".join(self.lines)

    def end(self):
        """Waits for its end: exit code and output."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.command} did not end:\n{self.output()}") from None
        self._reader.join(PATIENCE)
        return code, self.output()

    def stop(self):
        """SIGTERM, and what comes of it."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
