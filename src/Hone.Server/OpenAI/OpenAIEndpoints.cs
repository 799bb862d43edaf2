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
        // The document's chapters.
        var files = api.MapGroup("").WithTags("OpenAI: files");
        files.MapFiles();
        files.MapUploads();
        var jobs = api.MapGroup("").WithTags("OpenAI: fine-tuning");
        jobs.MapJobs();
        jobs.MapJobEvents();
        var models = api.MapGroup("").WithTags("OpenAI: models");
        models.MapOpenAIModels();
        models.MapChat();
        models.MapCompletions();
    }
}
