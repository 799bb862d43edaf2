using System.CommandLine;

namespace Hone.Commands.Admin;

internal static class AdminGroups
{
    private const string Where = "Works directly on the data folder, beside a running server: the public API has no endpoint for it.";

    public static Command Accounts() => new CommandGroup("accounts", $"Makes and lists accounts. {Where}",
        ["hone accounts create research --email lab@example.org", "hone accounts list --json"],
        new AccountsCreateCommand(), new AccountsListCommand());

    public static Command Tokens() => new CommandGroup("tokens", $"Makes, lists and revokes API tokens. {Where}",
        ["hone tokens create ci --read-only --expires 30d", "hone tokens revoke 0123456789abcdef0123456789abcdef"],
        new TokensCreateCommand(), new TokensListCommand(), new TokensRevokeCommand());

    public static Option<string?> Data() => new("--data") { Description = "Data folder. Default: HONE_DATA, then ~/.local/share/hone.", HelpName = "DIR" };

    public static Option<string?> Account() => new("--account") { Description = "Id or name of the account. Default: the only one.", HelpName = "ID" };

    public static Option<bool> Json() => new("--json") { Description = "Print JSON." };
}
