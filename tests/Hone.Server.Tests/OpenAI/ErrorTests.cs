using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Hone.Server.Tests.OpenAI;

public sealed class ErrorTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Keys_MissingWrongOrWithoutPermission_AreRefusedInShape(bool shortAddress)
    {
        var client = await OpenAIClient.NewAsync(server, shortAddress);
        (await client.GetAsync("/models", "hone_wrong_key_1234567890")).MustRefuse(401, null, "Incorrect API key provided: hone***7890", "invalid_api_key");
        using (var bare = new HttpRequestMessage(HttpMethod.Get, new Uri(server.Url, client.Base + "/models")))
        using (var response = await server.Http.SendAsync(bare))
            (await Reply.OfAsync(response)).MustRefuse(401, null, "You didn't provide an API key");
        (await client.PostAsync("/fine_tuning/jobs", "{}", client.Account.ReadToken)).MustRefuse(403, null, "insufficient permissions", "insufficient_permissions");
        (await client.GetAsync("/models", client.Account.ReadToken)).Must();
        if (!shortAddress)
            (await client.GetAsync("/models", (await server.NewAccountAsync()).Token)).MustRefuse(403, null, "another account", "account_mismatch");
    }

    [Fact]
    public async Task Paths_UnknownOrNotOffered_Are404InShape()
    {
        foreach (bool shortAddress in (bool[])[true, false])
        {
            var client = await OpenAIClient.NewAsync(server, shortAddress);
            (await client.GetAsync("/nothing")).MustRefuse(404, null, $"Invalid URL (GET {client.Base}/nothing)", "unknown_url");
            (await client.PostAsync("/embeddings", "{}")).MustRefuse(404, null, "not offered", "unknown_url");
            (await client.PostAsync("/files/x/y/z", "{}")).MustRefuse(404, null, "Invalid URL", "unknown_url");
            (await client.Account.SendAsync(HttpMethod.Put, client.Base + "/files")).MustRefuse(405, null, "PUT", "method_not_supported");
        }
        // The other dialect keeps its own.
        var account = await server.NewAccountAsync();
        (await account.GetAsync("/ai/nothing")).MustFail(404, 7000, "No route");
    }

    [Fact]
    public async Task Request_ThatKestrelRefuses_IsAnsweredInShape()
    {
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
        await using var stream = tcp.GetStream();
        await stream.WriteAsync("GET /v1/models HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        string answer = await reader.ReadToEndAsync(TestContext.Current.CancellationToken).WaitAsync(RunningServer.Patience, TestContext.Current.CancellationToken);
        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
        var error = JsonElement.Parse(answer[answer.IndexOf("\r\n\r\n", StringComparison.Ordinal)..]).GetProperty("error");
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Contains("x-request-id: req_", answer, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Body_Huge_Is413InShape()
    {
        var client = await OpenAIClient.NewAsync(server);
        (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{new string('x', 2 << 20)}}"}""")).MustRefuse(413, null, "too large", "request_too_large");
    }

    [Fact]
    public async Task Models_BasesAndNames_AreFoundAndABaseStays()
    {
        var client = await OpenAIClient.NewAsync(server);
        var list = (await client.GetAsync("/models")).Must();
        Assert.Contains(RunningServer.Model, list.Ids());
        foreach (string name in (string[])[RunningServer.Model, Uri.EscapeDataString(RunningServer.Model)])
        {
            var model = (await client.GetAsync($"/models/{name}")).Must();
            Assert.Equal(("model", RunningServer.Model, "huggingfacetb"), (model.GetProperty("object").GetString(), model.GetProperty("id").GetString(), model.GetProperty("owned_by").GetString()));
            (await client.DeleteAsync($"/models/{name}")).MustRefuse(403, null, "base model");
        }
        (await client.GetAsync("/models/gpt-none")).MustRefuse(404, "model", "gpt-none", "model_not_found");
        (await client.DeleteAsync($"/models/ft:{RunningServer.Model}:a:b:00000000-0000-0000-0000-000000000000")).MustRefuse(404, "model", "ft:", "model_not_found");

        string queued = (await client.QueuedJobAsync()).GetProperty("id").GetString()!, own = $"ft:{RunningServer.Model}:{client.Account.Id}::{Guid.Parse(queued["ftjob-".Length..])}";
        (await client.DeleteAsync($"/models/{own}")).MustRefuse(400, "model", "its job is queued", "model_not_ready");
        (await client.GetAsync($"/fine_tuning/jobs/{queued}")).Must();
    }
}
