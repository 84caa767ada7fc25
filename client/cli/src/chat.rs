//! `tercet chat` logs a person in, then starts the chat. On a terminal a wrong answer is asked for again.

use std::io::{self, IsTerminal as _};

use tercet_client::{Client, Error, RefusedKind};
use tercet_types::name::{is_name, name_rule};

use crate::commands::connect::Connect;
use crate::commands::identity::{Identity, LoggedIn, Stored};
use crate::commands::secret::{Password, ask_new_password};
use crate::failure::Failure;
use crate::full_screen::{self, KeptSessions};
use crate::output::{self, notice};
use crate::prompt::{ask, ask_hidden};
use crate::stop_signals::StopSignals;
use crate::worker;

/// The options that choose the account of a chat.
#[derive(Debug, clap::Args)]
pub struct ChatLogin {
    /// Write line by line, as in a pipe: for screen readers and simple terminals
    #[arg(long)]
    plain: bool,
    /// Create the account first if the name is free
    #[arg(long)]
    register: bool,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(login: ChatLogin, connect: &Connect) -> Result<(), Failure> {
    let on_leaving = "/quit, Ctrl-D or Ctrl-C leaves; messages that come meanwhile wait for you.";
    let mut stop = StopSignals::listen().map_err(|e| Failure::io("listen for signals", &e))?;
    tokio::select! {
        ended = chat(&login, connect, on_leaving) => ended,
        () = stop.received() => Ok(()),
    }
}

/// Logs in and chats until the input ends or the person quits; `on_leaving` says at the start what quitting
/// means.
pub async fn chat(login: &ChatLogin, connect: &Connect, on_leaving: &str) -> Result<(), Failure> {
    if let Some(sessions) = login.for_full_screen(connect)? {
        return full_screen::run(sessions).await;
    }
    let on_terminal = io::stdin().is_terminal();
    let say = |text: &str| {
        if !connect.json {
            notice(&format!("* {text}"));
        }
    };
    if on_terminal {
        say(on_leaving);
    }
    let Some(me) = login.log_in(connect, on_terminal).await? else {
        return Ok(());
    };
    let name = me.name.as_deref().unwrap_or("logged in");
    say(&format!(
        "you are {name}; /to NAME chooses whom you write to, /help shows the rest"
    ));
    match worker::run(me.client, connect.json).await {
        // A person has seen what went wrong; a script needs the exit code.
        Err(Failure::Reported) if on_terminal => Ok(()),
        ended => ended,
    }
}

/// The result of one question to a person.
enum Answered {
    In(LoggedIn),
    /// The person ended the input with Ctrl-D.
    Ended,
    /// The answer was wrong, and a notice gave the reason: ask again.
    Again,
}

impl ChatLogin {
    /// Returns what the full-screen chat starts with; `None` where lines are written: with `--plain` or `--json`, without a
    /// terminal that can show a screen, and for a token without a name.
    fn for_full_screen(&self, connect: &Connect) -> Result<Option<KeptSessions>, Failure> {
        let wanted = !self.plain && !connect.json && !self.identity.has_token_alone();
        if !wanted || !tercet_tui::is_capable() {
            return Ok(None);
        }
        Ok(Some(KeptSessions {
            identity: self.identity.clone(),
            connect: connect.clone(),
            client: connect.client()?,
            password: self.password.given()?,
            registers: self.register,
        }))
    }

    /// Logs in; `None` if the person ended the input.
    async fn log_in(
        &self,
        connect: &Connect,
        on_terminal: bool,
    ) -> Result<Option<LoggedIn>, Failure> {
        let client = connect.client()?;
        if let Some(me) = self.identity.with_token(&client, connect)? {
            return Ok(Some(me));
        }
        let mut name = self.identity.name().map(str::to_owned);
        if let Some(Stored { session, client }) = self.identity.stored(&client, connect).await? {
            let me = client.with_token(&session.token)?;
            let username = session.username;
            match me.fetch_undelivered(1, "").await {
                Ok(_) => {
                    let name = Some(username);
                    return Ok(Some(LoggedIn { client: me, name }));
                }
                Err(Error::Refused {
                    kind: RefusedKind::NotAuthenticated,
                    ..
                }) => notice("* the stored session has ended"),
                Err(error) => return Err(error.into()),
            }
            name.get_or_insert(username);
        }
        connect.say_where();
        if on_terminal {
            return self.ask_until_in(&client, name).await;
        }
        let Some(name) = name else {
            let advice = "Name yourself with --as NAME, and give the password by --password-file, \
                          TERCET_PASSWORD or as the first line.";
            let message = "nobody is logged in at this cluster";
            return Err(Failure::failed("NOT_LOGGED_IN", message, advice));
        };
        let password = self.password.read("", false).await?;
        if self.register {
            match client.create_account(&name, &password).await {
                Err(error) if !error.is_refused_for("NAME_TAKEN") => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Some(self.enter(&client, &name, &password).await?))
    }

    async fn enter(
        &self,
        client: &Client,
        name: &str,
        password: &str,
    ) -> Result<LoggedIn, Failure> {
        let login = client.login(name, password).await?;
        self.identity.sessions.keep(client, &login).await?;
        Ok(LoggedIn {
            client: client.with_token(&login.token)?,
            name: Some(login.username),
        })
    }

    /// Asks for a name and a password until they are right. Options are tried once.
    async fn ask_until_in(
        &self,
        client: &Client,
        mut name: Option<String>,
    ) -> Result<Option<LoggedIn>, Failure> {
        let mut is_empty = client.has_no_accounts().await.unwrap_or(false);
        if is_empty {
            notice("Nobody has an account here yet: you are the first, and register.");
        } else {
            notice("Log in; or write `/register NAME` in place of your name for a new account.");
        }
        let mut registers = self.register || is_empty;
        let mut password = self.password.given()?;
        loop {
            let whose = match name.take() {
                Some(name) => name,
                None => {
                    let Some(answer) = ask("Name: ").await? else {
                        return Ok(None);
                    };
                    let wanted = answer.strip_prefix("/register").map(str::trim);
                    registers = wanted.is_some() || is_empty;
                    match wanted.unwrap_or(&answer) {
                        "/quit" => return Ok(None),
                        name if is_name(name) => name.to_owned(),
                        _ => {
                            notice(&format!("A name has {}.", name_rule()));
                            continue;
                        }
                    }
                }
            };
            let answered = if registers {
                self.register(client, &whose, password.take()).await
            } else {
                self.enter_by_password(client, &whose, password.take())
                    .await
            };
            match answered {
                Ok(Answered::In(me)) => return Ok(Some(me)),
                Ok(Answered::Ended) => return Ok(None),
                Ok(Answered::Again) => is_empty = false,
                Err(failure) => {
                    output::report(&failure, false);
                }
            }
        }
    }

    async fn register(
        &self,
        client: &Client,
        name: &str,
        given: Option<String>,
    ) -> Result<Answered, Failure> {
        let password = match given {
            Some(password) => Some(password),
            None => ask_new_password(&format!("New password for {name}")).await?,
        };
        let Some(password) = password else {
            return Ok(Answered::Ended);
        };
        match client.create_account(name, &password).await {
            Ok(_) => {
                notice(&format!("* registered {name}"));
                Ok(Answered::In(self.enter(client, name, &password).await?))
            }
            Err(error) if error.is_refused_for("NAME_TAKEN") => {
                notice(&format!(
                    "{name} has an account already: log in, or take another name."
                ));
                Ok(Answered::Again)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn enter_by_password(
        &self,
        client: &Client,
        name: &str,
        given: Option<String>,
    ) -> Result<Answered, Failure> {
        let password = match given {
            Some(password) => Some(password),
            None => ask_hidden(&format!("Password for {name}: ")).await?,
        };
        let Some(password) = password else {
            return Ok(Answered::Ended);
        };
        match self.enter(client, name, &password).await {
            Ok(me) => Ok(Answered::In(me)),
            Err(Failure::Failed { reason, .. }) if reason == "WRONG_CREDENTIALS" => {
                notice(
                    "Unknown name or wrong password. Write your name again, or `/register NAME` \
                     for a new account.",
                );
                Ok(Answered::Again)
            }
            Err(failure) => Err(failure),
        }
    }
}
