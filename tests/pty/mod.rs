//! A pseudo-terminal with a command on it, and the screen that the command makes.

#![allow(dead_code)]

pub mod svg;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::termios::{LocalModes, tcgetattr};

use crate::cluster::{TERCET, wait_until};

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// A command on a terminal of its own; killed when dropped.
pub struct Terminal {
    pub child: Box<dyn Child + Send + Sync>,
    input: Box<dyn Write + Send>,
    /// Everything that was shown, and the screen that it makes.
    shown: Arc<Mutex<(String, vt100::Parser)>>,
    /// The bytes that were written to the terminal.
    bytes: Arc<AtomicUsize>,
    /// Every line that was on the screen.
    lines: Arc<Mutex<BTreeSet<String>>>,
    master: Box<dyn MasterPty + Send>,
    /// Keeps the terminal when the command has ended, so that it can be looked at.
    pub tty: fs::File,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Runs `tercet` on a terminal of 60 columns and 40 rows.
    pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Terminal {
        Terminal::run_on(60, 40, TERCET, arguments, variables)
    }

    /// Runs a program on a terminal of this size.
    pub fn run_on(
        columns: u16,
        rows: u16,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Terminal {
        let pair = native_pty_system()
            .openpty(size(columns, rows))
            .expect("open a terminal");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.cwd(std::env::current_dir().expect("there is one"));
        for name in [
            "TERCET_REPLICAS",
            "TERCET_TOKEN",
            "TERCET_PASSWORD",
            "TERCET_USER",
        ] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("run tercet");
        let name = pair.master.tty_name().expect("the terminal has a name");
        let tty = fs::File::options()
            .read(true)
            .write(true)
            .open(name)
            .expect("open it");
        let mut output = pair.master.try_clone_reader().expect("read the terminal");
        let shown = Arc::new(Mutex::new((
            String::new(),
            vt100::Parser::new(rows, columns, 0),
        )));
        let sink = shown.clone();
        let lines = Arc::<Mutex<BTreeSet<String>>>::default();
        let seen = lines.clone();
        let bytes = Arc::<AtomicUsize>::default();
        let written = bytes.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                let mut sink = sink.lock().expect("nobody panics with it");
                sink.0.push_str(&String::from_utf8_lossy(&chunk[..count]));
                sink.1.process(&chunk[..count]);
                let lines = sink.1.screen().contents();
                let mut seen = seen.lock().expect("nobody panics with it");
                seen.extend(lines.lines().map(str::to_owned));
                written.fetch_add(count, Ordering::SeqCst);
            }
        });
        Terminal {
            child,
            input: pair.master.take_writer().expect("write to the terminal"),
            shown,
            bytes,
            lines,
            master: pair.master,
            tty,
        }
    }

    /// Changes the size of the terminal, as the person who drags its window.
    pub fn resize(&self, columns: u16, rows: u16) {
        let mut shown = self.shown.lock().expect("nobody panics with it");
        shown.1.screen_mut().set_size(rows, columns);
        self.master.resize(size(columns, rows)).expect("resize");
    }

    /// Waits until a line of the screen has the text.
    pub fn wait_on_screen(&self, text: &str) {
        let mut screen = Vec::new();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("`{text}` is on the screen"), || {
                screen = self.screen();
                screen.iter().any(|line| line.contains(text))
            });
        }));
        assert!(
            done.is_ok(),
            "`{text}` is not on the screen:\n{}",
            screen.join("\n")
        );
    }

    /// Waits until a line that was on the screen at any time has the text.
    pub fn wait_for_line(&self, text: &str) {
        wait_until(&format!("`{text}` was on the screen"), || {
            let lines = self.lines.lock().expect("nobody panics with it");
            lines.iter().any(|line| line.contains(text))
        });
    }

    /// Returns a picture of the screen.
    pub fn picture(&self) -> String {
        svg::picture(self.shown.lock().expect("nobody panics with it").1.screen())
    }

    /// Notes what the screen shows in a recording.
    pub fn record(&self, recording: &mut svg::Recording, at: f32, place: u16) {
        let shown = self.shown.lock().expect("nobody panics with it");
        recording.note(at, place, shown.1.screen());
    }

    /// Returns how many bytes were written to the terminal so far.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    pub fn shown(&self) -> String {
        self.shown.lock().expect("nobody panics with it").0.clone()
    }

    /// The lines of the screen that are not empty.
    pub fn screen(&self) -> Vec<String> {
        let contents = self
            .shown
            .lock()
            .expect("nobody panics with it")
            .1
            .screen()
            .contents();
        let lines = contents.lines().map(|line| line.trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }

    /// Waits until the text was shown so many times.
    pub fn wait_for(&self, text: &str, times: usize) {
        wait_until(&format!("`{text}` is shown"), || {
            let found = self.shown().matches(text).count() >= times;
            if !found && std::env::var_os("TERCET_TEST_SHOW").is_some() {
                eprintln!("{}", self.shown());
            }
            found
        });
    }

    pub fn has(&self, text: &str) -> bool {
        self.shown().contains(text)
    }

    pub fn keys(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).expect("type");
        self.input.flush().expect("type");
    }

    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.tty)
            .expect("look at the terminal")
            .local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits until the command has ended, and gives its exit code.
    pub fn exit_code(&mut self) -> u32 {
        let mut code = None;
        wait_until("the command has ended", || {
            code = self.child.try_wait().expect("wait for tercet");
            code.is_some()
        });
        code.expect("it ended").exit_code()
    }
}
