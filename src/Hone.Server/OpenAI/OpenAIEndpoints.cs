namespace Hone.Server.OpenAI;

/// <summary>The dialect under both of its addresses.</summary>
internal static class OpenAIEndpoints
{
    public static void MapOpenAI(this IEndpointRouteBuilder app)
    {
        // The document of the other dialect has its envelope; this one's calls are the original's, and compatibility.md has where they differ.
        Map(app.MapGroup(OpenAIPaths.OfAccount).AddEndpointFilter<OpenAIAccess>().ExcludeFromDescription());
        Map(app.MapGroup(OpenAIPaths.Short).AddEndpointFilter<OpenAIAccess>().ExcludeFromDescription());
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
