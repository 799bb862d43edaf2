using Hone.Core.Finetunes;
using Hone.Core.Processes;
using Hone.Core.Scheduling;
using Hone.Core.Store;
using Hone.Core.Tests.Processes;
using Hone.Formats.Jobs;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Scheduling;

[Trait("Category", "Native")]
public sealed class WorkerLoopTests
{
    private const string Steps = "resumed\nstep 1 4\nstep 2 4\ncheckpoint 2\nstep 3 4\nstep 4 4\n";
    private const string Whole = $"[train]\n{Steps}finish\n[prove]\nproven\n";

    private static CancellationToken Now => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Job_Undisturbed_BecomesReadyWithItsFilesAndEvents()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(Whole);
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal(FinetuneState.Ready, row.State);
        Assert.Equal(1, row.Attempts);
        Assert.Contains("\"train_loss\":0.1", row.MetricsJson, StringComparison.Ordinal);
        string[] messages = [.. events.Select(e => e.Message)];
        Assert.Equal(
            ["Fine-tuning job started", "Step 1/4: training loss=1.00", "Step 2/4: training loss=0.50", "Step 3/4: training loss=0.3333", "Step 4/4: training loss=0.25"],
            messages[3..8]);
        Assert.StartsWith("Adapter proven", messages[8], StringComparison.Ordinal);
        Assert.StartsWith("New fine-tuned model created: ft:", messages[9], StringComparison.Ordinal);
        Assert.Equal("The job has successfully completed", messages[10]);
        Assert.Equal(11, messages.Length);
        FinetuneEvent step = events[4];
        Assert.Equal("metrics", step.Type);
        Assert.StartsWith("{\"step\":1,\"steps\":4,", step.DataJson, StringComparison.Ordinal);
        Dictionary<string, string> files = await fixture.FilesAsync(id);
        Assert.Equal($"{WorkerFixture.Data}@4", files["adapter_model.safetensors"]);
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors", "report.json", "training_data.jsonl"], files.Keys.Order(StringComparer.Ordinal));
        Assert.Empty(Directory.EnumerateFileSystemEntries(fixture.JobsFolder));
    }

    [Fact]
    public async Task Job_TrainerKilledAfterACheckpoint_ResumesThereAndPublishesTheSameBytes()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\nstep 2 4\ncheckpoint 2\nstep 3 4\nkill\n{Whole}");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal(FinetuneState.Ready, row.State);
        Assert.Equal(2, row.Attempts);
        Assert.Contains(events, e => e.Message == "Fine-tuning job resumed from step 2");
        Assert.Single(events, e => e.Message.StartsWith("Step 2/4", StringComparison.Ordinal));
        Assert.Contains(events, e => e.Level == "warn" && e.Message.Contains("ended with signal SIGKILL after step 3", StringComparison.Ordinal) && e.Message.Contains("Out of memory?", StringComparison.Ordinal));
        Assert.Single(events, e => e.Message == "The job has successfully completed");
        Assert.Equal($"{WorkerFixture.Data}@4", (await fixture.FilesAsync(id))["adapter_model.safetensors"]);
    }

    [Fact]
    public async Task Job_PausedWhileItRuns_GoesWithACheckpointAndResumesThereToTheSameBytes()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\nstep 2 4\nadapter 2\nasked\nstep 3 4\ncheckpoint 3\npaused 3\n{Whole}");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Checkpoint created: ft:", StringComparison.Ordinal) && e.Message.EndsWith(":ckpt-step-2", StringComparison.Ordinal));

        Assert.True(Assert.IsType<HoldResult.Accepted>(await fixture.PauseAsync()).Finetune.PauseRequested);
        await fixture.SeeAsync(id, e => e.Message == EventLog.Paused);

        Finetune paused = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Paused, 0, 3, false), (paused.State, paused.Attempts, paused.CheckpointStep, paused.PauseRequested));
        Assert.Equal((null, null), (paused.LeaseUntil, paused.Worker));
        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
        FinetuneCheckpoint adapter = Assert.Single(await fixture.Get<FinetuneService>().ListCheckpointsAsync(id, Now));
        Assert.Equal("adapter_model.safetensors@2", await File.ReadAllTextAsync(fixture.Get<Hone.Core.Blobs.BlobStore>().PathOf(adapter.WeightsSha256), Now));
        Assert.IsType<HoldResult.Accepted>(await fixture.PauseAsync());

        Assert.Equal(FinetuneState.Queued, Assert.IsType<HoldResult.Accepted>(await fixture.ResumeAsync()).Finetune.State);
        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Ready, 1), (row.State, row.Attempts));
        Assert.Contains(events, e => e.Message == "Fine-tuning job resumed from step 3");
        Assert.DoesNotContain(events, e => e.Level == "warn");
        Assert.Equal($"{WorkerFixture.Data}@4", (await fixture.FilesAsync(id))["adapter_model.safetensors"]);
        Assert.IsType<HoldResult.Refused>(await fixture.PauseAsync());
        Assert.IsType<HoldResult.Refused>(await fixture.ResumeAsync());
    }

    [Fact]
    public async Task Bug_DamagedCheckpoint_WasResumedFrom()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\nasked\nstep 3 4\ncheckpoint 3\npaused 3\n{Whole}");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Step 1/4", StringComparison.Ordinal));
        await fixture.PauseAsync();
        await fixture.SeeAsync(id, e => e.Message == EventLog.Paused);
        fixture.Damage((await fixture.RowAsync(id))!.CheckpointBlob!);

        await fixture.ResumeAsync();
        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.Equal(FinetuneState.Ready, (await fixture.RowAsync(id))!.State);
        Assert.Contains(events, e => e.Level == "warn" && e.Message.Contains("damaged: the training begins anew", StringComparison.Ordinal));
        Assert.DoesNotContain(events, e => e.Message.Contains("from step 3", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Bug_DamagedTrainingData_WasTrainedOn()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(Whole);
        Guid id = await fixture.QueueJobAsync();
        fixture.Damage((await fixture.Get<FinetuneService>().ListAssetsAsync(id, Now)).Single().Sha256);

        await fixture.StartWorkerAsync();
        await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Failed, "file_damaged"), (row.State, row.ErrorCode));
        Assert.Contains("training_data.jsonl is gone or damaged", row.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_ResumeOfAPausedJobThatIsBeingCancelled_WasAccepted()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync("[train]\nstep 1 4\nhang");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Step 1/4", StringComparison.Ordinal));
        await fixture.PauseAsync();
        await fixture.CancelAsync();

        Assert.IsType<HoldResult.Refused>(await fixture.ResumeAsync());

        await fixture.FinishAsync(id);
        Assert.Equal(FinetuneState.Cancelled, (await fixture.RowAsync(id))!.State);
    }

    [Fact]
    public async Task Job_PausedWhileItIsProven_IsProvenAnewAfterTheResume()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\n{Steps}checkpoint 4\nfinish\n[prove 1]\nout proving\nhang\n[prove]\nproven\n");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Step 4/4", StringComparison.Ordinal));

        await fixture.PauseAsync();
        await fixture.SeeAsync(id, e => e.Message == EventLog.Paused);
        await fixture.ResumeAsync();
        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.Contains(events, e => e.Message == "Fine-tuning job resumed from step 4");
        Assert.Single(events, e => e.Message == "The job has successfully completed");
    }

    [Fact]
    public async Task Bug_PausedAfterTheProofsLastWord_CountedAsACrash()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\n{Steps}checkpoint 4\nfinish\n[prove 1]\nproven\ndeaf\n[prove]\nproven\n");
        fixture.Settings = fixture.Settings with { StopGrace = ScriptedChild.Patience };
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Adapter proven", StringComparison.Ordinal));

        await fixture.PauseAsync();
        await fixture.SeeAsync(id, e => e.Message == EventLog.Paused);

        Finetune paused = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Paused, 0), (paused.State, paused.Attempts));
    }

    [Fact]
    public async Task Bug_CheckpointReplacedByTwoNewerOnes_CountedAsACrash()
    {
        const string gone = """out {"type":"checkpoint","step":1,"file":"checkpoint-1.safetensors","sha256":"00"}""";
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\nresumed\nstep 1 4\n{gone}\nstep 4 4\nfinish\n[prove]\nproven\n");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.DoesNotContain(events, e => e.Level == "warn");
        Assert.Equal((FinetuneState.Ready, 1), ((await fixture.RowAsync(id))!.State, (await fixture.RowAsync(id))!.Attempts));
    }

    [Theory]
    [InlineData("checkpoint 2", "UPDATE OF checkpoint_step ON finetunes", "The checkpoint of step 2 could not be stored")]
    [InlineData("adapter 2", "INSERT ON finetune_checkpoints", "The adapter of step 2 could not be stored")]
    public async Task Job_DatabaseFullAtACheckpoint_GoesOnWithoutIt(string deed, string write, string said)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\nresumed\nstep 2 4\n{deed}\nstep 4 4\nfinish\n[prove]\nproven\n");
        string sql = $"CREATE TABLE room (bytes BLOB); CREATE TRIGGER fill AFTER {write} BEGIN INSERT INTO room VALUES (zeroblob(8000000)); END; PRAGMA max_page_count = 1000;";
        await fixture.Get<StoreWriter>().RunAsync(db => db.Database.ExecuteSqlRawAsync(sql, Now), Now);
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.StartsWith(said, Assert.Single(events, e => e.Level == "warn").Message, StringComparison.Ordinal);
        Assert.Equal((FinetuneState.Ready, 1), ((await fixture.RowAsync(id))!.State, (await fixture.RowAsync(id))!.Attempts));
    }

    [Fact]
    public async Task Job_PauseTakenBackBeforeTheTrainerGoes_GoesOn()
    {
        string fifo = Path.Combine(Directory.CreateTempSubdirectory("hone-fifo-").FullName, "fifo");
        using (var make = System.Diagnostics.Process.Start("mkfifo", fifo))
            await make.WaitForExitAsync(Now);
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\nstep 2 4\nasked\nwait {fifo}\ncheckpoint 2\npaused 2\n{Whole}");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Step 2/4", StringComparison.Ordinal));

        await fixture.PauseAsync();
        // Opening it returns when the trainer has been asked and waits.
        await using (var tell = new FileStream(fifo, FileMode.Open, FileAccess.Write))
        {
            await fixture.ResumeAsync();
            tell.WriteByte(1);
        }
        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.DoesNotContain(events, e => e.Message == EventLog.Paused);
        Assert.Contains(events, e => e.Message == "Fine-tuning job resumed from step 2");
        Assert.Equal((FinetuneState.Ready, 1), ((await fixture.RowAsync(id))!.State, (await fixture.RowAsync(id))!.Attempts));
        Directory.Delete(Path.GetDirectoryName(fifo)!, recursive: true);
    }

    [Theory]
    [InlineData("[train]\nresumed\nerr torch: no luck\nexit 9", "exit code 9", "torch: no luck")]
    [InlineData("[train]\nresumed\nstep 1 4\nexit 0", "exit code 0", "after step 1")]
    [InlineData("[train]\nlong 1048577\nhang", "1048576 bytes", "attempt 3 of 3")]
    [InlineData("[train]\nout {\"type\":\"nonsense\"}\nhang", "no event", "nonsense")]
    [InlineData("[train]\nout {\"type\":\"checkpoint\",\"step\":1,\"file\":\"../../../hone.db\",\"sha256\":\"00\"}\nhang", "hone.db", "not in its folder")]
    [InlineData("[train]\nresumed\nfinish\nadapter-tamper\n[prove]\nproven", "adapter_model.safetensors is not what the trainer wrote", "attempt 3 of 3")]
    [InlineData("[train]\nresumed\nfinish\n[prove]\nexit 6", "The proof of the adapter ended with exit code 6", "attempt 3 of 3")]
    public async Task Job_TrainerCrashesAlways_FailsAfterThreeAttemptsAndSaysHow(string script, string said, string alsoSaid)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(script);
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal(FinetuneState.Failed, row.State);
        Assert.Equal(3, row.Attempts);
        Assert.Contains(said, row.ErrorMessage, StringComparison.Ordinal);
        Assert.Contains(alsoSaid, row.ErrorMessage, StringComparison.Ordinal);
        Assert.Equal(2, events.Count(e => e.Level == "warn"));
        Assert.Empty(Directory.EnumerateFileSystemEntries(fixture.JobsFolder));
        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
    }

    [Theory]
    [InlineData("[train]\nresumed\nfailed bad_data Line 3: no answer.\nexit 1", "bad_data", "Line 3: no answer.")]
    [InlineData("[train]\nresumed\nfinish\n[prove]\nfailed proof_failed The adapter does nothing.\nexit 1", "proof_failed", "The adapter does nothing.")]
    public async Task Job_TrainerSaysItCannotSucceed_FailsAtOnce(string script, string code, string message)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(script);
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Failed, 1, code, message), (row.State, row.Attempts, row.ErrorCode, row.ErrorMessage));
        Assert.DoesNotContain("adapter_model.safetensors", (await fixture.FilesAsync(id)).Keys);
    }

    [Theory]
    [InlineData("")]
    [InlineData("finish\n[prove]\n")]
    public async Task Bug_FullDisk_UsedUpTheAttempts(string script)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\nresumed\n{script}failed disk_full The disk is full.\nexit 1");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        await fixture.SeeAsync(id, e => e.Message.Contains("disk is full", StringComparison.Ordinal));

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Queued, 0), (row.State, row.Attempts));
    }

    /// <summary>A service manager signals the server's whole process group: the trainer may end before the server knows that it shall.</summary>
    [Theory]
    [InlineData("step 1 4\n")]
    [InlineData("finish\n[prove]\n")]
    public async Task Bug_TrainerThatWasAskedToEnd_UsedUpAnAttempt(string script)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\nresumed\n{script}exit {ChildExitCodes.AskedToEnd}");
        fixture.Settings = fixture.Settings with { RetryAfter = [TimeSpan.FromMinutes(1)] };
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        await fixture.SeeAsync(id, e => e.Message.Contains("was asked to end", StringComparison.Ordinal));

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Queued, 0), (row.State, row.Attempts));
    }

    [Theory]
    [InlineData("resumed\nstep 4 4\nfinish\ndeaf\n[prove]\nproven\ndeaf", "Ready")]
    [InlineData("resumed\nfailed not_finite The loss is NaN.\ndeaf", "Failed")]
    public async Task Job_TrainerHangsAfterItsLastWord_IsTakenAtItsWord(string script, string state)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train]\n{script}");
        fixture.Settings = fixture.Settings with { StopGrace = TimeSpan.FromMilliseconds(300) };
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((state, 1), (row.State.ToString(), row.Attempts));
        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
    }

    [Theory]
    [InlineData("[train]\nresumed\nstep 1 4\ndeaf", "The trainer gave no sign of life for 0.3 s")]
    [InlineData("[train]\ndeaf", "before its first step and was ended")]
    public async Task Job_TrainerStalls_IsKilledAndTriedAgainAsAfterACrash(string script, string said)
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(script);
        fixture.Settings = fixture.Settings with { StallAfter = TimeSpan.FromMilliseconds(300) };
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Failed, 3, "attempts_exhausted"), (row.State, row.Attempts, row.ErrorCode));
        Assert.Contains(said, row.ErrorMessage, StringComparison.Ordinal);
        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Job_LongSilenceWithHeartbeats_GoesOn()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync("[train]\nresumed\nbeat 50\nstep 4 4\nfinish\n[prove]\nproven\n");
        fixture.Settings = fixture.Settings with { StallAfter = TimeSpan.FromSeconds(4) };
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();

        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Ready, 1), (row.State, row.Attempts));
        Assert.DoesNotContain(events, e => e.Message.Contains("heartbeat", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Cancel_DeafTrainer_IsGoneWhenTheJobIsCancelled()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync("[train]\nresumed\nstep 1 4\ndeaf");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Type == "metrics");
        Assert.Single(LeftoverProcesses.Find(fixture.JobsFolder));

        await fixture.CancelAsync();
        List<FinetuneEvent> events = await fixture.FinishAsync(id);

        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
        Assert.Equal(FinetuneState.Cancelled, (await fixture.RowAsync(id))!.State);
        Assert.Equal("The job was cancelled", events[^1].Message);
    }

    [Fact]
    public async Task Delete_RunningJob_KillsItsTrainerAndTheNextJobRuns()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\ndeaf\n");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Type == "metrics");
        int trainer = Assert.Single(LeftoverProcesses.Find(fixture.JobsFolder)).Id;

        await fixture.DeleteAsync();

        Assert.True(await ScriptedChild.IsGoneAsync(trainer));
        fixture.Child.Rewrite(Whole);
        Guid next = await fixture.QueueJobAsync("next");
        await fixture.FinishAsync(next);
        Assert.Equal(FinetuneState.Ready, (await fixture.RowAsync(next))!.State);
        Assert.Null(await fixture.RowAsync(id));
    }

    [Fact]
    public async Task Fence_TakenByAnotherAttempt_KillsTheTrainerAndWritesNothing()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync("[train]\nresumed\nstep 1 4\ndeaf");
        await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Type == "metrics");
        int trainer = Assert.Single(LeftoverProcesses.Find(fixture.JobsFolder)).Id;

        await fixture.Get<StoreWriter>().RunAsync(db => db.Database.ExecuteSqlAsync($"UPDATE finetunes SET fence = fence + 1, worker = 'another'"), Now);

        Assert.True(await ScriptedChild.IsGoneAsync(trainer));
        await fixture.Get<StoreWriter>().RunAsync(_ => Task.FromResult(0), Now);
        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Running, 2L, 1, "another"), (row.State, row.Fence, row.Attempts, row.Worker));
        Assert.Equal(5, (await fixture.Get<FinetuneService>().ListEventsAsync(id, 0, 100, Now)).Count);
    }

    [Fact]
    public async Task Shutdown_RunningJob_GivesItBackWithoutCostAndTheNextWorkerGoesOn()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync($"[train 1]\nresumed\nstep 1 4\nstep 2 4\ncheckpoint 2\nstep 3 4\nhang\n{Whole}");
        WorkerLoop first = await fixture.StartWorkerAsync();
        Guid id = await fixture.QueueJobAsync();
        await fixture.SeeAsync(id, e => e.Message.StartsWith("Step 3", StringComparison.Ordinal));

        await first.StopAsync(Now);

        Assert.Empty(LeftoverProcesses.Find(fixture.JobsFolder));
        Finetune given = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Queued, 0, null, 2), (given.State, given.Attempts, given.LeaseUntil, given.CheckpointStep));
        await fixture.StartWorkerAsync();
        await fixture.FinishAsync(id);
        Assert.Equal(FinetuneState.Ready, (await fixture.RowAsync(id))!.State);
        Assert.Equal($"{WorkerFixture.Data}@4", (await fixture.FilesAsync(id))["adapter_model.safetensors"]);
    }

    [Fact]
    public async Task Start_AfterAKilledWorker_TakesItsJobAtOnceAndClearsItsFolders()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync(Whole);
        await File.WriteAllTextAsync(Path.Combine(fixture.Child.Folder, "worker-name"), "the-worker", Now);
        Guid id = await fixture.QueueJobAsync();
        Assert.NotNull(await fixture.Get<SqliteJobQueue>().ClaimAsync("the-worker", TimeSpan.FromHours(1), Now));
        string left = Directory.CreateDirectory(Path.Combine(fixture.JobsFolder, id.ToString(), "1")).FullName;
        await File.WriteAllTextAsync(Path.Combine(left, "checkpoint.safetensors.tmp"), "half", Now);

        await fixture.StartWorkerAsync();
        await fixture.FinishAsync(id);

        Finetune row = (await fixture.RowAsync(id))!;
        Assert.Equal((FinetuneState.Ready, 2L), (row.State, row.Fence));
        Assert.False(Directory.Exists(left));
    }

    [Fact]
    public async Task Slots_Two_TrainTwoJobsAtOnce()
    {
        await using WorkerFixture fixture = await WorkerFixture.CreateAsync("");
        string met = fixture.Child.MakeFifo("met");
        fixture.Settings = fixture.Settings with { Slots = 2 };
        Guid one = await fixture.QueueJobAsync("one"), two = await fixture.QueueJobAsync("two");
        fixture.Child.Rewrite($"[train]\nresumed\nstep 1 1\nwait {met}\nfinish\n[prove]\nproven\n");

        await fixture.StartWorkerAsync();
        await fixture.SeeAsync(one, e => e.Type == "metrics");
        await fixture.SeeAsync(two, e => e.Type == "metrics");
        // Both have begun, and neither can end before this.
        await using var both = new FileStream(met, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        both.Write([1, 1]);
        await fixture.FinishAsync(one);
        await fixture.FinishAsync(two);

        Assert.Equal((FinetuneState.Ready, FinetuneState.Ready), ((await fixture.RowAsync(one))!.State, (await fixture.RowAsync(two))!.State));
    }
}
