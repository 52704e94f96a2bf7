//! The keys `admin` and `admin_token_file`.

use toml::Spanned;

use super::on_disk::Kind;
use super::raw::Parsed;
use super::resolve::Resolver;
use crate::address::ListenAddr;
use crate::admin::AdminSource;

impl Resolver<'_> {
    /// The admin listener, which must be none of those that `clients` are listened for on.
    pub(super) fn admin(
        &mut self,
        listen: Option<Spanned<Parsed<ListenAddr>>>,
        token_file: Option<Spanned<String>>,
        clients: &[ListenAddr],
    ) -> Option<AdminSource> {
        let Some(listen) = listen else {
            if let Some(file) = token_file {
                self.problem(
                    file.span(),
                    "admin_token_file protects nothing; set admin too, or leave it out",
                );
            }
            return None;
        };
        let place = listen.span();
        let addr = self.address("admin", place.clone(), listen.into_inner().0);
        let file = token_file.map(|file| self.path("admin_token_file", file, Kind::File));
        AdminSource::new(addr, file, clients)
            .map_err(|text| self.problem(place, format!("admin: {text}")))
            .ok()
    }
}
