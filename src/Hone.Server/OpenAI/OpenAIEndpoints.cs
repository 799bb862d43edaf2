namespace Hone.Server.OpenAI;

/// <summary>The dialect under both of its addresses.</summary>
internal static class OpenAIEndpoints
{
    /// <summary>What the original has and Hone does not, with what to do instead.</summary>
    private static readonly (string Path, string Instead)[] NotOffered =
    [
        ("embeddings", "The models here generate text."),
        ("responses", "Use /chat/completions."),
        ("assistants", "Use /chat/completions."),
        ("threads", "Use /chat/completions."),
        ("batches", "Send the requests one by one; they are decoded together."),
        ("images", "The models here generate text."),
        ("audio", "The models here generate text."),
        ("moderations", "The models here generate text."),
        ("realtime", "Use /chat/completions with stream."),
        ("vector_stores", "The models here generate text."),
        ("containers", "The models here generate text."),
        ("evals", "The job's events and its result file have the figures of the validation rows."),
        ("fine_tuning/alpha", "The methods are supervised and dpo."),
        ("fine_tuning/checkpoints", "Checkpoints belong to their account."),
    ];

    public static void MapOpenAI(this IEndpointRouteBuilder app)
    {
        Map(app.MapGroup(OpenAIPaths.OfAccount).AddEndpointFilter<OpenAIAccess>());
        // The same once more; one description is enough.
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
        foreach (var (path, instead) in NotOffered)
        {
            api.Map($"/{path}/{{**rest}}", (HttpContext context) => new OpenAIError(404, $"Invalid URL ({context.Request.Method} {context.Request.Path}): /{path} is not offered. {instead}", null, "unknown_url"))
                .ExcludeFromDescription();
        }
    }
}
