//! The terminal while `top` has it, and what is typed there. It is given back as it was however the program ends.

use std::io::{self, Stdout, Write, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use sluicegate::rt;

use super::columns::{Sort, View};
use super::state::Input;

/// The most keys that are typed ahead.
const KEYS: usize = 64;

/// Whether the terminal is ours now.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Whether any thread has panicked.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal, in raw mode and on its alternate screen until it is dropped.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes over the terminal. A panic gives it back before its message is written.
    pub(super) fn open() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |why| {
            HAS_PANICKED.store(true, Ordering::Relaxed);
            give_back();
            before(why);
        }));
        take_over()?;
        // Listens for changes of the size from now on: before it is read.
        event::poll(Duration::ZERO).inspect_err(|_| give_back())?;
        // Nobody else would.
        empty().map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    /// Draws all of it anew with the next frame, as large as the terminal is now.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = empty()?;
        Ok(())
    }

    /// Whether the terminal is as large as what is drawn.
    pub(super) fn fits(&mut self) -> io::Result<bool> {
        let area = self.terminal.get_frame().area();
        Ok(size()? == (area.width, area.height))
    }

    /// Gives the terminal back to the shell, stops the process, and takes it over again when that goes on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::TSTP)?;
        take_over()?;
        self.redraw()
    }
}

/// A screen with nothing on it, as large as the terminal is now. It is not resized by itself: that would ask the terminal
/// where the cursor is, and wait for the answer.
fn empty() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let (width, height) = size()?;
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    let mut terminal = Terminal::with_options(CrosstermBackend::new(stdout()), TerminalOptions { viewport })?;
    terminal.hide_cursor()?;
    Ok(terminal)
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether a thread has panicked since the terminal was taken over, which gave it back.
pub(super) fn has_panicked() -> bool {
    HAS_PANICKED.load(Ordering::Relaxed)
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    IS_OURS.store(true, Ordering::Relaxed);
    // Leaving the alternate screen also shows the cursor, which drawing hides.
    execute!(stdout(), EnterAlternateScreen).inspect_err(|_| give_back())
}

/// Gives the terminal back, once. It may be gone: then there is nothing to do.
fn give_back() {
    if IS_OURS.swap(false, Ordering::Relaxed) {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = stdout().flush();
        let _ = disable_raw_mode();
    }
}

/// Whether the terminal was closed.
pub(super) fn is_gone() -> bool {
    let stdin = io::stdin();
    // A hang-up is told without being asked for.
    let mut terminal = [PollFd::new(&stdin, PollFlags::empty())];
    poll(&mut terminal, Some(&Timespec::default())).is_ok() && !terminal[0].revents().is_empty()
}

/// What is typed, from a thread of its own: crossterm reads a terminal that is gone for ever, until the process ends. One of
/// another size is to be drawn anew.
pub(super) fn keys() -> io::Result<Receiver<io::Result<Input>>> {
    let (sender, keys) = sync_channel(KEYS);
    let reading = move || {
        loop {
            let typed = match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => input(key),
                Ok(Event::Resize(..)) => Some(Input::Redraw),
                Ok(_) => None,
                Err(error) => return drop(sender.send(Err(error))),
            };
            if typed.is_some_and(|typed| sender.send(Ok(typed)).is_err()) {
                return;
            }
        }
    };
    rt::thread("keys", reading).map(|()| keys)
}

/// What a key means; `None` if nothing.
fn input(key: KeyEvent) -> Option<Input> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Input::Quit),
            KeyCode::Char('z') => Some(Input::Suspend),
            KeyCode::Char('l') => Some(Input::Redraw),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Char('q') => Input::Quit,
        KeyCode::Char(' ' | 'p') => Input::Pause,
        KeyCode::Char(digit @ '1'..='6') => Input::View(View::ALL[digit as usize - '1' as usize]),
        KeyCode::Tab => Input::Turn(true),
        KeyCode::BackTab => Input::Turn(false),
        KeyCode::Char('n') => Input::Sort(Sort::Now),
        KeyCode::Char('l') => Input::Sort(Sort::Set),
        KeyCode::Char('s') => Input::Sort(Sort::Sent),
        KeyCode::Char('h') => Input::Sort(Sort::Held),
        KeyCode::Char('a') => Input::Sort(Sort::Name),
        KeyCode::Char('>') => Input::TurnSort(true),
        KeyCode::Char('<') => Input::TurnSort(false),
        KeyCode::Char('r') => Input::Reverse,
        KeyCode::Up | KeyCode::Char('k') => Input::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Input::Move(1),
        KeyCode::PageUp => Input::Page(-1),
        KeyCode::PageDown => Input::Page(1),
        KeyCode::Home | KeyCode::Char('g') => Input::First,
        KeyCode::End | KeyCode::Char('G') => Input::Last,
        KeyCode::Enter => Input::Open,
        KeyCode::Esc | KeyCode::Backspace => Input::Back,
        KeyCode::Char('?') => Input::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    /// Set where the test is to panic: by another, in a process of its own.
    const PANICS: &str = "SLUICEGATE_TEST_PANICS";

    #[test]
    #[ignore = "run by the next test, on a terminal"]
    fn panics_on_a_terminal() {
        if std::env::var_os(PANICS).is_some() {
            let _screen = Screen::open().unwrap();
            panic!("as a bug would");
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_its_message() {
        let mut ours = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        grantpt(&ours).and_then(|()| unlockpt(&ours)).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = File::options().read(true).write(true).open(name).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        assert!(before.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
        let each = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "cli::top::terminal::tests::panics_on_a_terminal",
            "--ignored",
            "--nocapture",
        ]);
        command.env(PANICS, "1").env("TERM", "xterm").stdin(each()).stdout(each()).stderr(each());
        let mut child = command.spawn().unwrap();
        drop(command);
        // What it writes is read meanwhile: a terminal holds a few thousand bytes.
        let reading = std::thread::spawn(move || {
            let (mut text, mut piece) = (String::new(), [0; 4096]);
            while !text.contains("test result:") {
                let len = ours.read(&mut piece).unwrap();
                text += &String::from_utf8_lossy(&piece[..len]);
            }
            // Without this end the terminal would be gone.
            (text, ours)
        });
        assert!(!child.wait().unwrap().success());
        let (text, _ours) = reading.join().unwrap();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is missing: {text:?}"));
        assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "{text:?}");
        assert!(at("\u{1b}[?25h") < at("as a bug would"), "{text:?}");
        assert_eq!(text.matches("\u{1b}[?1049l").count(), 1, "{text:?}");
        let after = tcgetattr(&theirs).unwrap();
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (before.local_modes, before.input_modes, before.output_modes)
        );
    }

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| input(KeyEvent::new(code, modifiers));
        for (code, expected) in [
            (KeyCode::Char('q'), Some(Input::Quit)),
            (KeyCode::Char('1'), Some(Input::View(View::Transfers))),
            (KeyCode::Char('6'), Some(Input::View(View::Streams))),
            (KeyCode::Char('7'), None),
            (KeyCode::BackTab, Some(Input::Turn(false))),
            (KeyCode::Char('G'), Some(Input::Last)),
        ] {
            let shift = if code == KeyCode::BackTab { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
            assert_eq!(key(code, shift), expected, "{code:?}");
        }
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
    }
}
