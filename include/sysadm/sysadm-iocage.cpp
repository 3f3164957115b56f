/*
 * sysadm-iocage.cpp: loads libsysadm_iocage and hands it the requests of the iocage class; see sysadm-iocage.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "sysadm-iocage.h"

#include <QDebug>
#include <QFile>
#include <QJsonDocument>
#include <QLibrary>
#include <QMutex>
#include <QMutexLocker>
#include <QSemaphore>
#include <QSharedPointer>
#include <QStringList>
#include <QThread>

#include <functional>

#include "globals.h" // the global DISPATCHER

namespace{

// The part of sysadm_iocage.h that is used here, repeated so that these two files are all that a server needs. A test
// of the library's project compares the two.
const quint32 ABI_VERSION = 1;
const qint32 ACCESS_READ = 0;
const qint32 ACCESS_FULL = 1;
const qint32 LOG_ERROR = 3;

struct Host{
  size_t struct_size;
  void *user_data;
  bool (*queue_process)(void *user_data, const char *job_id, const char *const *argv);
  bool (*is_job_active)(void *user_data, const char *job_id);
  void (*log)(void *user_data, qint32 level, const char *message);
  void (*job_ended)(void *user_data, const char *job_id, const char *event_json);
};

struct Functions{
  quint32 (*abi_version)();
  void *(*open)(const char *config_json, const Host *host, char **error);
  char *(*evaluate)(const void *plugin, const char *args_json, qint32 access, qint32 *status);
  char *(*progress)(const void *plugin, const char *job_id, const char *job_log_json);
  void (*free)(char *string);
};

// ---- The host's side: the server's dispatcher ----

// One word of a command string as QProcess splits it: spaces separate, double quotes group, three make one.
QString quoted(QString word){
  word.replace("\"", "\"\"\"");
  bool group = word.isEmpty();
  for(int i=0; i<word.length() && !group; i++){ group = word[i].isSpace(); }
  return group ? "\""+word+"\"" : word;
}

// Runs "work" in the dispatcher's thread and waits for it: the list of jobs has no lock. False where that thread does
// not get to it in time, as while the server ends.
bool inDispatcherThread(const std::function<void()> &work){
  if(DISPATCHER->thread()==QThread::currentThread()){ work(); return true; }
  QSharedPointer<QSemaphore> done(new QSemaphore());
  QMetaObject::invokeMethod(DISPATCHER, [work, done](){ work(); done->release(); }, Qt::QueuedConnection);
  return done->tryAcquire(1, 2000);
}

bool isJobActive(void *, const char *job_id){
  QString id = QString::fromUtf8(job_id);
  QSharedPointer<bool> active(new bool(false));
  if(!inDispatcherThread([id, active](){ *active = DISPATCHER->isJobActive(id); })){
    return DISPATCHER->isJobActive(id);
  }
  return *active;
}

bool queueProcess(void *, const char *job_id, const char *const *argv){
  QStringList words;
  for(; *argv!=NULL; argv++){ words << quoted(QString::fromUtf8(*argv)); }
  DISPATCHER->queueProcess(QString::fromUtf8(job_id), words.join(" "));
  // The dispatcher takes a job in by a signal to itself. When what comes after that signal has run, the job is in its
  // list, and no second request can miss it there.
  inDispatcherThread([](){});
  return true;
}

void logMessage(void *, qint32 level, const char *message){
  if(level<=LOG_ERROR){ qWarning("iocage: %s", message); }
  else{ qDebug("iocage: %s", message); }
}

// ---- The library ----

// Where the library is unless the configuration says something else.
const char *const DEFAULT_LIBRARY = "/usr/local/lib/libsysadm_iocage.so";

// The keys of the configuration. The library checks them; but if it is not found, a mistyped key may be why.
const char *const KEYS[] = {
  "catalogue_max_age_seconds", "command_timeout_seconds", "commands", "end_of_life_url", "environment", "library",
  "plugin_repositories", "pools", "state_directory",
};

QMutex MUTEX; // of the three below, until PLUGIN is there
QString CONFIG_FILE = "/usr/local/etc/sysadm/iocage.json";
Functions LIBRARY;
void *PLUGIN = NULL; // lives as long as the server

template<typename F> bool resolve(QLibrary &library, const char *name, F &function){
  function = reinterpret_cast<F>(library.resolve(name));
  return function!=NULL;
}

// What is wrong with the configuration, as far as that can be seen without the library; or nothing.
QString wrongWith(const QByteArray &config){
  QJsonParseError error;
  QJsonDocument document = QJsonDocument::fromJson(config, &error);
  if(document.isNull()){ return "the configuration is not JSON: "+error.errorString(); }
  if(!document.isObject()){ return "the configuration is not a JSON object"; }
  QStringList known;
  for(size_t i=0; i<sizeof(KEYS)/sizeof(KEYS[0]); i++){ known << KEYS[i]; }
  QStringList keys = document.object().keys();
  for(int i=0; i<keys.length(); i++){
    if(!known.contains(keys[i])){ return "unknown configuration key \""+keys[i]+"\""; }
  }
  QJsonValue path = document.object().value("library");
  if(!path.isUndefined() && !path.toString().startsWith("/")){
    return "configuration key \"library\": must be an absolute path";
  }
  return QString();
}

// Loads the library from where the configuration says; if it says nothing, from the default place, or if there is none,
// from where the system looks for libraries. Returns what went wrong, or nothing.
QString loadLibrary(QLibrary &library, const QByteArray &config){
  QString path = QJsonDocument::fromJson(config).object().value("library").toString();
  bool isNamed = path.startsWith("/");
  if(!isNamed){ path = DEFAULT_LIBRARY; }
  bool isThere = QFile::exists(path);
  library.setFileName(isNamed || isThere ? path : QString("sysadm_iocage"));
  if(library.load()){ return QString(); }
  QString error = isThere ? "the iocage library cannot be loaded: " : "the iocage library is not installed: ";
  if(!isNamed && !isThere){ error += "there is no "+path+", and "; }
  error += library.errorString();
  QString wrong = wrongWith(config);
  return wrong.isEmpty() ? error : CONFIG_FILE+": "+wrong+"; "+error;
}

// Loads the library and opens an instance; returns what went wrong, or nothing.
QString load(){
  QByteArray config("{}"); // as good as no file
  QFile file(CONFIG_FILE);
  if(file.open(QIODevice::ReadOnly)){ config = file.readAll(); }
  else if(file.exists()){ return CONFIG_FILE+": "+file.errorString(); }

  QLibrary library;
  QString error = loadLibrary(library, config);
  if(!error.isEmpty()){ return error; }
  Functions functions;
  if(!resolve(library, "sysadm_iocage_abi_version", functions.abi_version)){
    return library.fileName()+" is not the iocage library";
  }
  if(functions.abi_version()!=ABI_VERSION){
    return QString("%1 has version %2 of its interface, this server wants %3")
      .arg(library.fileName()).arg(functions.abi_version()).arg(ABI_VERSION);
  }
  if(!resolve(library, "sysadm_iocage_open", functions.open)
      || !resolve(library, "sysadm_iocage_evaluate", functions.evaluate)
      || !resolve(library, "sysadm_iocage_progress", functions.progress)
      || !resolve(library, "sysadm_iocage_free", functions.free)){
    return library.fileName()+": "+library.errorString();
  }
  Host host = { sizeof(Host), NULL, queueProcess, isJobActive, logMessage, NULL };
  char *why = NULL;
  void *plugin = functions.open(config.constData(), &host, &why);
  if(plugin==NULL){
    error = CONFIG_FILE+": "+QString::fromUtf8(why);
    functions.free(why);
    return error;
  }
  LIBRARY = functions;
  PLUGIN = plugin;
  return QString();
}

// The instance, or NULL and why there is none.
void *plugin(QString *error){
  QMutexLocker locked(&MUTEX);
  if(PLUGIN==NULL){ *error = load(); }
  return PLUGIN;
}

// A string of the library as JSON, freed.
QJsonObject take(char *json){
  QJsonObject object = QJsonDocument::fromJson(QByteArray(json)).object();
  LIBRARY.free(json);
  return object;
}

QJsonObject failure(const QString &error, const QString &code){
  QJsonObject object;
  object.insert("error", error);
  object.insert("code", code);
  return object;
}

QByteArray toText(const QJsonObject &object){
  return QJsonDocument(object).toJson(QJsonDocument::Compact);
}

// What an action answers.
QJsonObject ask(const QString &action, QJsonObject args = QJsonObject()){
  args.insert("action", action);
  QJsonObject out;
  int status = sysadm::Iocage::evaluate(args, true, &out);
  if(status==200){ return out.value(action).toObject(); }
  // An action that the library does not have is no request to it.
  return failure(out.value("error").toObject().value("message").toString(), status==400 ? "unavailable" : "failed");
}

} //end of namespace

using namespace sysadm;

int Iocage::evaluate(const QJsonValue &args, bool fullAccess, QJsonObject *out){
  QString error;
  void *instance = plugin(&error);
  if(instance==NULL){
    QString action = args.toObject().value("action").toString();
    if(action.isEmpty()){ return 400; }
    out->insert(action, failure(error, "unavailable"));
    return 200;
  }
  // Anything but an object is no request; the library says so.
  QByteArray request = args.isObject() ? toText(args.toObject()) : QByteArray("[]");
  qint32 status = 500;
  QJsonObject reply = take( LIBRARY.evaluate(instance, request.constData(),
                                             fullAccess ? ACCESS_FULL : ACCESS_READ, &status) );
  for(QJsonObject::const_iterator i=reply.constBegin(); i!=reply.constEnd(); ++i){ out->insert(i.key(), i.value()); }
  return status;
}

QJsonObject Iocage::progress(const QString &jobId, const QJsonObject &log){
  QString error;
  void *instance = plugin(&error);
  if(instance==NULL){ return QJsonObject(); }
  char *event = LIBRARY.progress(instance, jobId.toUtf8().constData(), toText(log).constData());
  return event==NULL ? QJsonObject() : take(event);
}

void Iocage::setConfigFile(const QString &path){
  QMutexLocker locked(&MUTEX);
  CONFIG_FILE = path;
}

QJsonObject Iocage::activateStatus(){ return ask("activatestatus"); }
QJsonObject Iocage::activatePool(QJsonObject args){ return ask("activatepool", args); }
QJsonObject Iocage::deactivatePool(QJsonObject args){ return ask("deactivatepool", args); }
QJsonObject Iocage::listJails(){ return ask("listjails"); }
QJsonObject Iocage::listTemplates(){ return ask("listtemplates"); }
QJsonObject Iocage::listReleases(){ return ask("listreleases"); }
QJsonObject Iocage::listPlugins(){ return ask("listplugins"); }
QJsonObject Iocage::fetchReleases(QJsonObject args){ return ask("fetchreleases", args); }
QJsonObject Iocage::fetchPlugin(QJsonObject args){ return ask("createplugin", args); }
// These get no arguments from the server, so a client cannot ask first what would go. They never force, and say what
// has gone.
QJsonObject Iocage::cleanTemplates(){ return ask("cleantemplates", QJsonObject{ {"detail", true} }); }
QJsonObject Iocage::cleanReleases(){ return ask("cleanreleases", QJsonObject{ {"detail", true} }); }

// Without "force" cleanAll and cleanJails only say what would go.
QJsonObject Iocage::cleanAll(){ return ask("cleanall"); }
QJsonObject Iocage::df(){ return ask("df"); }
QJsonObject Iocage::createJail(QJsonObject args){ return ask("createjail", args); }
QJsonObject Iocage::destroyJail(QJsonObject args){ return ask("destroyjail", args); }
QJsonObject Iocage::cleanJails(){ return ask("cleanjails"); }
QJsonObject Iocage::stopJail(QJsonObject args){ return ask("stopjail", args); }
QJsonObject Iocage::startJail(QJsonObject args){ return ask("startjail", args); }
QJsonObject Iocage::execJail(QJsonObject args){ return ask("execjail", args); }
QJsonObject Iocage::capJail(QJsonObject args){ return ask("capjail", args); }
QJsonObject Iocage::getJailSettings(QJsonObject args){ return ask("getjailsettings", args); }
