using Hone.Client;

namespace Hone.Tests.Client;

public sealed class ConnectionTests : IDisposable
{
    private const string File = """{"url":"http://127.0.0.1:4663","account_id":"file-account","token":"file-token","email":"a@b","key":"k"}""";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Resolve_CredentialsFileAlone_GivesAll()
    {
        _folder.Write("credentials.json", File);

        Assert.Equal(new Connection(new Uri("http://127.0.0.1:4663"), "file-account", "file-token"), Connection.Resolve(null, null, null, _folder.Path));
    }

    [Fact]
    public void Resolve_OptionsAndFile_TakesTheOptions()
    {
        _folder.Write("credentials.json", File);

        Assert.Equal(new Connection(new Uri("https://hone.example"), "a", "t"), Connection.Resolve("https://hone.example/client/v4/", "a", "t", _folder.Path));
        Assert.Equal("b", Connection.Resolve(null, "b", null, _folder.Path).AccountId);
    }

    [Fact]
    public void Resolve_AnotherServerThanTheFiles_DoesNotGetTheFilesToken()
    {
        _folder.Write("credentials.json", File);

        CliException refused = Assert.Throws<CliException>(() => Connection.Resolve("http://elsewhere.example", null, null, _folder.Path));

        Assert.Contains("No token for http://elsewhere.example", refused.Message, StringComparison.Ordinal);
        Assert.Equal("file-token", Connection.Resolve("http://127.0.0.1:4663/client/v4", null, null, _folder.Path).Token);
    }

    [Fact]
    public void Resolve_OwnToken_DoesNotGetTheFilesAccount()
    {
        _folder.Write("credentials.json", File);

        Assert.Null(Connection.Resolve(null, null, "another", _folder.Path).AccountId);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("{\"url\":\"http://127.0.0.1:1\"}")]
    public void Resolve_BrokenFile_NamesIt(string text)
    {
        string path = _folder.Write("credentials.json", text);

        Assert.Contains(path, Assert.Throws<CliException>(() => Connection.Resolve(null, null, null, _folder.Path)).Message, StringComparison.Ordinal);
    }
}
