//! Children that end with this process, whatever ends it.

use super::POLL_INTERVAL;
use super::program::Program;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

/// PostgreSQL grants its own processes five seconds before it kills them; then it is its turn.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Runs a command to its end. Returns what it printed; a failure as text.
pub fn run(mut command: Command) -> Result<String, String> {
    const NOT_FOUND_BY_TIMEOUT: i32 = 127;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(command, libc::SIGTERM);
    let output = child.wait_with_output().expect("pipes can be read");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(stdout.trim_end().to_owned()),
        Some(NOT_FOUND_BY_TIMEOUT) => missing(stderr.trim_end()),
        _ => Err(format!("{}: {stdout}{stderr}", output.status)),
    }
}

pub fn missing(what: &str) -> ! {
    panic!(
        "{what} is missing: the tests need the Debian packages mariadb-server, mariadb-client and \
         postgresql; `tests/run` installs them"
    )
}

/// Starts a child, from the one thread that lives as long as the process: the kernel ties
/// `die_with_this_process` to the starting thread, and a test's own ends with the test.
pub fn spawn(mut command: Command, death_signal: libc::c_int) -> Child {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Request>> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in receiver {
                let sent = reply.send(command.spawn());
                sent.expect("`spawn` waits for the reply");
            }
        });
        sender
    });
    die_with_this_process(&mut command, death_signal);
    let program = command.get_program().to_owned();
    let (reply, child) = mpsc::channel();
    let sent = SPAWNER.send((command, reply));
    sent.expect("the spawner lives as long as the process");
    let child = child.recv().expect("the spawner answers every request");
    child.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(&program.to_string_lossy()),
        _ => panic!("starting {}: {error}", program.display()),
    })
}

/// Has the kernel signal the child when the thread that starts it ends.
#[expect(unsafe_code, reason = "a child can ask only before its exec")]
fn die_with_this_process(command: &mut Command, death_signal: libc::c_int) {
    let parent = process::id().cast_signed();
    let ask = move || {
        // SAFETY: a system call without pointers.
        let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, death_signal) };
        // SAFETY: the same. A parent that died before we asked will send no signal anymore.
        if status == 0 && unsafe { libc::getppid() } == parent {
            return Ok(());
        }
        Err(io::ErrorKind::Interrupted.into())
    };
    // SAFETY: `ask` does nothing that is forbidden between fork and exec, such as allocating.
    unsafe { command.pre_exec(ask) };
}

/// Ends a server, and returns when it has let go of its port and its files.
pub fn end(program: &Program, mut child: Child) {
    signal(&child, program.stop_signal);
    let deadline = Instant::now() + STOP_MAX;
    while poll(&mut child).is_none() {
        if Instant::now() > deadline {
            signal(&child, libc::SIGKILL);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

pub fn poll(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("our own child can be waited for")
}

#[expect(unsafe_code, reason = "std sends no signal but SIGKILL")]
fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: no pointers; and until it is waited for, a child's id is nobody else's.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}
