using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Core.Accounts;
using Hone.Terminals;

namespace Hone.Commands.Admin;

internal sealed class TokensListCommand : CliCommand
{
    private readonly Option<string?> _account = AdminGroups.Account();
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public TokensListCommand() : base("list", "Lists an account's tokens; the secrets are not kept.", "hone tokens list", "hone tokens list --account research --json")
    {
        foreach (Option option in new Option[] { _account, _data, _json })
            Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: false, cancellationToken);
        Account account = await store.AccountAsync(parse.GetValue(_account), cancellationToken);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        TokenRow[] rows = [.. (await store.Get<AccountService>().ListTokensAsync(account.Id, cancellationToken)).Select(token => TokenRow.Of(token, now))];
        if (parse.GetValue(_json))
            terminal.Line(JsonSerializer.Serialize(rows, AdminJson.Readable.TokenRowArray));
        else
            terminal.Table(["ID", "NAME", "BEGINS WITH", "PERMISSION", "STATUS", "CREATED"], [.. rows.Select(t => new[]
            {
                t.Id, t.Name, t.Prefix, t.Permission, t.Status, t.CreatedAt.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture),
            })]);
        return 0;
    }
}
