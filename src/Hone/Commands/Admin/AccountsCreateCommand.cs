using System.CommandLine;
using System.Text.Json;
using Hone.Core.Accounts;
using Hone.Terminals;

namespace Hone.Commands.Admin;

internal sealed class AccountsCreateCommand : CliCommand
{
    private readonly Argument<string> _name = new("name") { Description = "What the account is called.", HelpName = "NAME" };
    private readonly Option<string> _email = new("--email") { Description = "For X-Auth-Email.", HelpName = "ADDRESS", Required = true };
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public AccountsCreateCommand() : base("create", "Makes an account, in the data folder itself. Its key is shown once.",
        "hone accounts create research --email lab@example.org", "hone accounts create research --email lab@example.org --json | jq -r .id")
    {
        Arguments.Add(_name);
        foreach (Option option in new Option[] { _email, _data, _json })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_name) is { } name && (string.IsNullOrWhiteSpace(name) || name.Any(char.IsControl)))
            yield return "The account's name has printable characters.";
        if (parse.GetValue(_email) is { } email && (email.IndexOf('@', StringComparison.Ordinal) is var at && (at <= 0 || at == email.Length - 1 || email.Any(char.IsWhiteSpace))))
            yield return $"\"{email}\" is not an e-mail address.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: true, cancellationToken);
        NewAccount made = await store.Get<AccountService>().CreateAccountAsync(parse.GetRequiredValue(_name), parse.GetRequiredValue(_email), cancellationToken);
        if (parse.GetValue(_json))
        {
            terminal.Line(JsonSerializer.Serialize(AccountRow.Of(made.Account, made.Key), AdminJson.Readable.AccountRow));
            return 0;
        }
        terminal.Facts([["account", made.Account.Id], ["name", made.Account.Name], ["email", made.Account.Email], ["key", made.Key]]);
        terminal.Note($"The key is not shown again. `hone tokens create NAME --account {made.Account.Id}` makes a token.");
        return 0;
    }
}
