using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Core.Accounts;
using Hone.Terminals;

namespace Hone.Commands.Admin;

internal sealed class AccountsListCommand : CliCommand
{
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public AccountsListCommand() : base("list", "Lists the accounts of a data folder.", "hone accounts list", "hone accounts list --data ./hone-data --json")
    {
        Options.Add(_data);
        Options.Add(_json);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: false, cancellationToken);
        IReadOnlyList<Account> accounts = await store.Get<AccountService>().ListAsync(cancellationToken);
        if (parse.GetValue(_json))
            terminal.Line(JsonSerializer.Serialize([.. accounts.Select(account => AccountRow.Of(account))], AdminJson.Readable.AccountRowArray));
        else
            terminal.Table(["ID", "NAME", "EMAIL", "CREATED"], [.. accounts.Select(a => new[]
            {
                a.Id, a.Name, a.Email, a.CreatedAt.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture),
            })]);
        return 0;
    }
}
