using System.CommandLine;
using Hone.Core.Accounts;
using Hone.Terminals;

namespace Hone.Commands.Admin;

internal sealed class TokensRevokeCommand : CliCommand
{
    private readonly Argument<string> _id = new("id") { Description = "The token's id.", HelpName = "ID" };
    private readonly Option<string?> _account = AdminGroups.Account();
    private readonly Option<string?> _data = AdminGroups.Data();

    public TokensRevokeCommand() : base("revoke", "Revokes a token at once and for good, in the data folder itself.",
        "hone tokens revoke 0123456789abcdef0123456789abcdef", "hone tokens list --json | jq -r '.[] | select(.name == \"ci\") | .id' | xargs -n1 hone tokens revoke")
    {
        Arguments.Add(_id);
        Options.Add(_account);
        Options.Add(_data);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string id = parse.GetRequiredValue(_id);
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: false, cancellationToken);
        Account account = await store.AccountAsync(parse.GetValue(_account), cancellationToken);
        if (!await store.Get<AccountService>().RevokeAsync(account.Id, id, cancellationToken))
            throw new CliException($"The account {account.Name} has no active token {id}.", "`hone tokens list` shows them.");
        terminal.Line($"revoked {id}");
        return 0;
    }
}
