//! A loop that repeats a question until it is answered or its time is over.

use std::time::Duration;

use tercet_client::Error;
use tokio::time::{Instant, sleep};

/// The pause between two questions to a replica.
pub const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(50);

/// Repeats `ask` until it succeeds; gives its last error if that takes until the deadline.
pub async fn until<T, E>(
    deadline: Instant,
    pause: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        match ask().await {
            Err(_) if Instant::now() < deadline => sleep(pause).await,
            answer => return answer,
        }
    }
}

/// Repeats a call to one replica until the replica answers or refuses; gives the last error if it is out of
/// reach until the deadline.
pub async fn until_reached<T, F>(deadline: Instant, mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match call().await {
            Err(Error::Unreachable { .. }) if Instant::now() < deadline => {
                sleep(ASK_AGAIN_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_is_repeated_until_it_is_answered_or_the_deadline_has_passed() {
        let mut asked = 0;
        let mut ask = async || {
            asked += 1;
            if asked < 3 { Err(asked) } else { Ok(asked) }
        };
        let now = Instant::now();
        assert_eq!(until(now, Duration::ZERO, &mut ask).await, Err(1));
        let later = now + Duration::from_secs(600);
        assert_eq!(until(later, Duration::ZERO, &mut ask).await, Ok(3));
    }
}
