//! Asks sentinels which server is the primary.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisConnectionInfo;

use super::link::{Link, LinkError, begin, in_time};
use crate::address::HostPort;
use crate::clock::Clock;
use crate::rt;

/// How long a sentinel may take to answer, from connecting on: a call that waits for it has seconds for all of them and the store.
const PATIENCE: Duration = Duration::from_secs(1);

impl Link {
    /// The primary called `name` by the first of `sentinels` that knows one, beginning with whichever answered last.
    ///
    /// Clients of sentinels are told to ask a server for its `ROLE` too, since what they are told may be old. Here a server that is
    /// no primary any more refuses the first script, and the next call asks again.
    ///
    /// # Errors
    /// None answers in time, or knows it.
    pub(super) async fn primary(&self, sentinels: &[HostPort], name: &str) -> Result<HostPort, LinkError> {
        let first = self.sentinel.load(Ordering::Relaxed);
        let mut why = Vec::new();
        for nth in (first..sentinels.len()).chain(0..first.min(sentinels.len())) {
            let sentinel = &sentinels[nth];
            match in_time(rt::clock().now() + PATIENCE, self.asked(sentinel, name)).await {
                Ok(Some(primary)) => {
                    self.sentinel.store(nth, Ordering::Relaxed);
                    return Ok(primary);
                }
                Ok(None) => why.push(format!("{sentinel} knows no primary {name:?}")),
                Err(error) => why.push(format!("{sentinel}: {error}")),
            }
        }
        Err(LinkError::odd(&format!("no sentinel names the primary: {}", why.join("; "))))
    }

    /// What a sentinel answers. It is given user and password if it asks for them.
    async fn asked(&self, sentinel: &HostPort, name: &str) -> Result<Option<HostPort>, LinkError> {
        match self.asked_as(sentinel, name, &RedisConnectionInfo::default()).await {
            Err(error) if error.needs_login => self.asked_as(sentinel, name, &self.login().await?).await,
            answer => answer,
        }
    }

    async fn asked_as(
        &self,
        sentinel: &HostPort,
        name: &str,
        login: &RedisConnectionInfo,
    ) -> Result<Option<HostPort>, LinkError> {
        let mut connection = begin(self.reach(&sentinel.host, sentinel.port).await?, login).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answer: Result<Option<(String, u16)>, _> = question.query_async(&mut connection).await;
        let answer = answer.map_err(LinkError::of_store)?;
        Ok(answer.map(|(host, port)| HostPort { host, port }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    /// A sentinel that answers each question so, and says nothing if that is nothing.
    fn sentinel(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let (mut stream, mut question) = (stream.unwrap(), Vec::new());
                while !question.ends_with(b"news\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    question.push(byte[0]);
                }
                let _ = stream.write_all(answer.as_bytes());
                open.push(stream);
            }
        });
        addr
    }

    fn primary(sentinels: &[SocketAddr]) -> (Result<String, String>, usize) {
        let list: Vec<String> = sentinels.iter().map(SocketAddr::to_string).collect();
        let source = format!("redis+sentinel://{}/news", list.join(","));
        let link = Link::new(source.parse().unwrap()).unwrap();
        let sentinels: Vec<HostPort> = list.iter().map(|text| text.parse().unwrap()).collect();
        let primary = rt::block_on(link.primary(&sentinels, "news"));
        let primary = primary.map(|primary| primary.to_string()).map_err(|error| error.to_string());
        (primary, link.sentinel.load(Ordering::Relaxed))
    }

    #[test]
    fn the_first_sentinel_that_knows_the_primary_names_it_and_is_asked_first_from_then_on() {
        let dead = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let (silent, knows_none) = (sentinel(""), sentinel("*-1\r\n"));
        let good = sentinel("*2\r\n$9\r\n10.9.8.7!\r\n$4\r\n6380\r\n");
        assert_eq!(primary(&[dead, silent, knows_none, good]), (Ok("10.9.8.7!:6380".to_owned()), 3));
        let (none, asked) = primary(&[dead, knows_none]);
        let why = none.unwrap_err();
        assert!(why.starts_with(&format!("no sentinel names the primary: {dead}: ")), "{why}");
        assert!(why.ends_with(&format!("; {knows_none} knows no primary \"news\"")), "{why}");
        assert_eq!(asked, 0);
    }

    #[test]
    fn nonsense_is_no_primary() {
        for answer in
            ["*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "+OK\r\n", "-ERR no\r\n", "*1\r\n$1\r\na\r\n", "what"]
        {
            assert!(primary(&[sentinel(answer)]).0.is_err(), "{answer:?}");
        }
    }
}
