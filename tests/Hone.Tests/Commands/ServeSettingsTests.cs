using Hone.Commands;
using Hone.Server.Auth;

namespace Hone.Tests.Commands;

public sealed class ServeSettingsTests : IDisposable
{
    private static readonly string?[] s_nothing = new string?[7];

    private readonly string _folder = Directory.CreateTempSubdirectory("hone-limits-").FullName;

    private string Settings => Path.Combine(_folder, ServeSettings.FileName);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Read_Nothing_IsTheOriginals()
    {
        ServeSettings.Values values = ServeSettings.Read(s_nothing, _ => null, Settings);
        Assert.Equal(100, values.Core.FinetunesPerAccount);
        Assert.Equal(300L << 20, values.Core.AdapterBytes);
        Assert.Equal(32, values.Core.AdapterRank);
        Assert.Equal(new RateLimit(1200, TimeSpan.FromMinutes(5)), values.Rate);
    }

    [Fact]
    public void Read_OptionThenEnvironmentThenFile_FirstWins()
    {
        File.WriteAllText(Settings, """{ "adapter_rank": 48, "finetunes_per_account": 5, "adapter_size": "1.5G", "rate_limit": "off" /* all of them */, }""");
        string?[] given = [null, "7", .. s_nothing[2..]];
        ServeSettings.Values values = ServeSettings.Read(given, name => name switch { "HONE_ADAPTER_RANK" => "64", "HONE_FINETUNES_PER_ACCOUNT" => "6", _ => null }, Settings);
        Assert.Equal((7, 64, 3L << 29), (values.Core.FinetunesPerAccount, values.Core.AdapterRank, values.Core.AdapterBytes));
        Assert.Null(values.Rate);
    }

    [Theory]
    [InlineData("https://a.example, http://localhost:3000", "https://a.example http://localhost:3000")]
    [InlineData("*", "*")]
    [InlineData("https://a.example/", null)]
    [InlineData("a.example", null)]
    [InlineData("https://a.example,", null)]
    [InlineData("*,https://a.example", null)]
    public void Read_Origins_AreOriginsOrAll(string text, string? expected)
    {
        string? Variable(string name) => name == "HONE_ALLOW_ORIGINS" ? text : null;
        if (expected is not null)
            Assert.Equal(expected, string.Join(' ', ServeSettings.Read(s_nothing, Variable, Settings).Origins));
        else
            Assert.StartsWith("HONE_ALLOW_ORIGINS is \"", Assert.Throws<CliException>(() => ServeSettings.Read(s_nothing, Variable, Settings)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("any", null)]
    [InlineData("mistral, gemma,llama", "mistral gemma llama")]
    public void Read_ModelTypes_AreNamesOrAny(string text, string? expected)
    {
        IReadOnlyList<string>? types = ServeSettings.Read(s_nothing, name => name == "HONE_ADAPTER_MODEL_TYPES" ? text : null, Settings).Core.AdapterModelTypes;
        Assert.Equal(expected, types is null ? null : string.Join(' ', types));
    }

    [Theory]
    [InlineData("""{"adapter_rank": 0}""", "adapter_rank in ")]
    [InlineData("""{"adapter_size": "big"}""", "adapter_size in ")]
    [InlineData("""{"adapter_rang": 4}""", "which is no setting")]
    [InlineData("[1]", "cannot be read as settings")]
    [InlineData("{", "cannot be read as settings")]
    public void Read_BadFile_SaysWhere(string json, string expected)
    {
        File.WriteAllText(Settings, json);
        Assert.Contains(expected, Assert.Throws<CliException>(() => ServeSettings.Read(s_nothing, _ => null, Settings)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_BadVariable_NamesIt() =>
        Assert.StartsWith("HONE_RATE_LIMIT is \"10\"", Assert.Throws<CliException>(() => ServeSettings.Read(s_nothing, name => name == "HONE_RATE_LIMIT" ? "10" : null, Settings)).Message, StringComparison.Ordinal);
}
