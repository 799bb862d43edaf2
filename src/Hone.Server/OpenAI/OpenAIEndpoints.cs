namespace Hone.Server.OpenAI;

/// <summary>The dialect under both of its addresses.</summary>
internal static class OpenAIEndpoints
{
    public static void MapOpenAI(this IEndpointRouteBuilder app)
    {
        // The document has each call once, under the short address, and this one as its other server.
        Map(app.MapGroup(OpenAIPaths.OfAccount).AddEndpointFilter<OpenAIAccess>().ExcludeFromDescription());
        Map(app.MapGroup(OpenAIPaths.Short).AddEndpointFilter<OpenAIAccess>());
    }

    private static void Map(RouteGroupBuilder api)
    {
        api.MapFiles();
        api.MapUploads();
        api.MapJobs();
        api.MapJobEvents();
        api.MapOpenAIModels();
        api.MapChat();
        api.MapCompletions();
    }
}
