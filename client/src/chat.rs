//! `tercet chat`: logs in, then hands over to the worker.

use std::io::{self, IsTerminal as _};

use crate::api::{Client, RefusedKind};
use crate::cli::connect::{Connect, Identity, Password, given, read_line};
use crate::output::{self, Failure};
use crate::worker;

#[derive(Debug, clap::Args)]
pub struct Chat {
    #[command(flatten)]
    pub login: ChatLogin,
    #[command(flatten)]
    pub connect: Connect,
}

/// As whom to chat.
#[derive(Debug, clap::Args)]
pub struct ChatLogin {
    /// Register the name first when it is free
    #[arg(long)]
    register: bool,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(args: Chat) -> Result<(), Failure> {
    let client = args.connect.client()?;
    chat(&client, &args.login).await
}

/// Logs in and chats until the input ends or the person leaves.
pub async fn chat(client: &Client, login: &ChatLogin) -> Result<(), Failure> {
    let on_terminal = io::stdin().is_terminal();
    let (client, name) = login.log_in(client, on_terminal).await?;
    output::notice(&format!("* you are {name}; /help shows what you can type"));
    match worker::run(client).await {
        // A person has seen what went wrong; a script needs the exit code.
        Err(Failure::Told) if on_terminal => Ok(()),
        ended => ended,
    }
}

impl ChatLogin {
    async fn log_in(
        &self,
        client: &Client,
        on_terminal: bool,
    ) -> Result<(Client, String), Failure> {
        let stored = match given(&self.identity.token) {
            Some(_) => {
                let me = self.identity.logged_in(client)?;
                return Ok((me.client, me.name.unwrap_or_else(|| "logged in".to_owned())));
            }
            None => self.identity.stored()?,
        };
        if let Some(session) = &stored {
            let me = client.with_token(&session.token)?;
            match me.fetch_undelivered(1, "").await {
                Ok(_) => return Ok((me, session.username.clone())),
                Err(crate::Error::Refused {
                    kind: RefusedKind::NotAuthenticated,
                    ..
                }) => output::notice("* the stored session has ended"),
                Err(error) => return Err(error.into()),
            }
        }
        let name = match (self.identity.name(), stored) {
            (Some(name), _) => name.to_owned(),
            (None, Some(session)) => session.username,
            (None, None) if on_terminal => blocking(|| ask("Name: ")).await?,
            (None, None) => {
                let advice = "Name yourself with --as NAME, and give the password by \
                              TERCET_PASSWORD or as the first line.";
                let message = "nobody is logged in here";
                return Err(Failure::failed("NOT_LOGGED_IN", message, advice));
            }
        };
        self.log_in_as(client, name, on_terminal).await
    }

    async fn log_in_as(
        &self,
        client: &Client,
        name: String,
        on_terminal: bool,
    ) -> Result<(Client, String), Failure> {
        let question = format!("Password for {name}");
        let source = self.password.clone();
        let password = blocking(move || source.read(&question, false)).await?;
        if self.register {
            match client.create_account(&name, &password).await {
                Err(error) if !error.is_refused_for("NAME_TAKEN") => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        let login = match client.login(&name, &password).await {
            Err(error) if error.is_refused_for("WRONG_CREDENTIALS") && on_terminal => {
                let question = format!("Unknown name or wrong password. Register {name}? [y/N] ");
                let reply = blocking(move || ask(&question)).await?;
                if !matches!(reply.as_str(), "y" | "Y" | "yes") {
                    return Err(error.into());
                }
                let prompt = Password { password: None };
                let again = blocking(move || prompt.read("The same password again", false)).await?;
                if again != password {
                    let message = "the two passwords differ";
                    return Err(Failure::failed("PASSWORDS_DIFFER", message, "Try again."));
                }
                client.create_account(&name, &password).await?;
                client.login(&name, &password).await?
            }
            login => login?,
        };
        self.identity.sessions.keep(&login)?;
        Ok((client.with_token(&login.token)?, login.username))
    }
}

/// Waits for a person beside the runtime, so that Ctrl-C is still heard.
async fn blocking<T: Send + 'static>(
    wait: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let waited = tokio::task::spawn_blocking(wait).await;
    waited.map_err(|error| Failure::failed("PROMPT", error.to_string(), ""))?
}

fn ask(question: &str) -> Result<String, Failure> {
    use io::Write as _;
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    drop(stderr);
    Ok(read_line()?.unwrap_or_default().trim().to_owned())
}
